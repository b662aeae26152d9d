"""The commands, a module each; :mod:`~paretune.commands.table` lists them."""
