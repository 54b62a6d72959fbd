"""Analysis of networks, graphs, runs and the machine they run on."""
