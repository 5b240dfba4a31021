"""The doors: command lines, thin, with no logic of their own."""
