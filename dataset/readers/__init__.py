"""How captions, roles and the rest are read: one file per format, each with one ``READER``."""
