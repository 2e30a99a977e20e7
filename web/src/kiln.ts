// All that the pack adds to ComfyUI's page.

import "./choose_cell";
import "./curate";
import "./downloads";
import "./load_folder";
import "./review";
