"""What the documents' experiments rest on, and scripts that were run once over stored
results.
"""
