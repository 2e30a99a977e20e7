// All that the pack adds to ComfyUI's page.

import "./choose_cell";
