"""The farm: the steps of `rebuilder` as jobs of a ledger, done by workers under leases; Celery only wakes them."""
