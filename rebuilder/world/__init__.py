"""Where this program meets the machine: processes, files, the network. One module each, no domain knowledge."""
