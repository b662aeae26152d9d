"""Training one network: Lightning and torchmetrics live here, and only here."""
