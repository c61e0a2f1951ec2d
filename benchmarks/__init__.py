"""Measurements that are too long or too heavy for tests."""
