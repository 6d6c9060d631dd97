"""One module a stage of the pipeline: each takes nouns and the world, and gives one noun."""
