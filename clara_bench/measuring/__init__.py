"""Measurements that no record holds: how fast a system is at each batch size, its operations as torch counts them."""
