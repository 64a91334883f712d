"""The terminal: reads the command line, watches events, prints. Decides nothing about memory."""
