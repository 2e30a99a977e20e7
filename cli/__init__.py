"""The commands of ``kiln.py``, one file each."""
