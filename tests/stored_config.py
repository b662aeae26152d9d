"""A part of the config of a run, as the store has it."""

CONFIG = {
    "data": {"_target_": "paretune.data.digits.load", "splitting": {"val_size": 360}},
    "trainer": {
        "max_epochs": 2,
        "patience": 5,
        "autotune": True,
        "precision": None,
        "memory_format": None,
    },
    "selection": {"epoch": "best"},
    "seed": 0,
}
