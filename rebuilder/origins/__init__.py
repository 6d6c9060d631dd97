"""Where releases come from: one package an ecosystem, the same names inside each (`resolve`, `authenticate`)."""
