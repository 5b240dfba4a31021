"""The modules of this package on the command line: small doors, each to one thing that its module does."""
