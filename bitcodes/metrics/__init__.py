"""Retrieval metrics, computed from histograms of distances."""
