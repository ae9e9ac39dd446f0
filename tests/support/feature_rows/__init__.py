"""The table of `test_feature_table.py`: networks, data kinds, the loop of torch, and the features."""
