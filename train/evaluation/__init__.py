"""Judging models: metrics, test-time augmentation, reports and pictures."""
