"""Tools of the people who build and test the pack; nothing in here is needed to use it."""
