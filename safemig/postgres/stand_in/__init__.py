"""Stand-ins: extensions that a copy's server lacks, made again from the catalogs of the database that has them."""
