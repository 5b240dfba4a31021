"""What `python -m` of all modules shares. A door knows its module, and a module knows only the name of its door."""
