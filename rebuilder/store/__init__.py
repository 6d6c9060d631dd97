"""What is kept: blobs by content, conclusions in the ledger. Rows stay inside; nouns go in and out."""
