"""What is wrong with a dataset, found before anybody trains on it."""
