"""Peers: other ways to run the network, one file a family. :data:`gxevent.bench.peers.registry.PEERS` lists them."""
