"""The functions country(address) and city(address), of the user's own GeoIP database."""

from .errors import Error


def places(spark, database, *, language="en"):
    """Registers country(address), two letters, and city(address), a name, from a MaxMind DB file.

    The package maxminddb and the file have to be on every machine that runs Spark's
    tasks. What the database does not know, and what is no address, has no place.
    """
    try:
        import maxminddb
    except ImportError as error:
        raise Error(
            "country and city need the package maxminddb, here and on every machine that runs tasks: "
            "pip install trailgate_spark[geoip]"
        ) from error
    try:
        maxminddb.open_database(database).close()
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise Error(f"{database} cannot be read as a MaxMind DB file: {error}") from error
    spark.udf.register("country", _function(database, "country", language), "string")
    spark.udf.register("city", _function(database, "city", language), "string")


def _function(database, part, language):
    # sent by value, with nothing that names this package: where tasks run it need not be.
    # One reader a worker, opened by the first row: a reader cannot be sent
    reader = []

    def place(address):
        import ipaddress

        import maxminddb

        if not address or "%" in address:
            return None
        try:
            # the reader would ask the system, which takes 010.0.0.1 and 167772161 for addresses
            address = ipaddress.ip_address(address)
        except ValueError:
            # the name of a service, or nothing that is an address
            return None
        if not reader:
            reader.append(maxminddb.open_database(database))
        try:
            found = reader[0].get(address)
        except ValueError:
            # of version 6, in a database of version 4
            return None
        told = found.get(part) if isinstance(found, dict) else None
        if not told:
            return None
        if part == "country":
            return told.get("iso_code")
        names = told.get("names") or {}
        return names.get(language) or names.get("en")

    return place
