"""Datasets: prepared data folders, with lists to train on, to query with and to search."""
