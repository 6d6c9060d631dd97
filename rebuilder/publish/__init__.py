"""Publishing: documents under `results/`, and the pages, badges, lists and feeds that are made from them."""
