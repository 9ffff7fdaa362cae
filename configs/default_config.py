"""The default of every key; a config holds only its differences from these. `lumbar/config.py` says what each means."""

from lumbar.config import Config

cfg = Config()
