"""Tags by a tagger in ONNX form (WD v3 and its relatives): what a picture shows, word by word."""
