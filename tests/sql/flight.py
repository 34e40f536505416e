"""ADBC, as a user has it."""

import contextlib

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
from adbc_driver_flightsql import DatabaseOptions

Failed = adbc_driver_manager.Error


@contextlib.contextmanager
def connection(server, authority=None, shown=None, token=None):
    """A connection of ADBC's Flight SQL driver."""
    options = {}
    scheme = "grpc"
    if authority:
        scheme = "grpc+tls"
        options[DatabaseOptions.TLS_ROOT_CERTS.value] = authority.cert_pem.bytes().decode()
    if shown:
        cert, key = (path.read_text() for path in shown)
        options[DatabaseOptions.MTLS_CERT_CHAIN.value] = cert
        options[DatabaseOptions.MTLS_PRIVATE_KEY.value] = key
    if token:
        options[DatabaseOptions.AUTHORIZATION_HEADER.value] = f"Bearer {token}"
    uri = f"{scheme}://{server.target}"
    with adbc_driver_flightsql.dbapi.connect(uri, db_kwargs=options, autocommit=True) as connection:
        yield connection


def ask(connection, query, values=None):
    """The whole answer."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetch_arrow_table()


def refusal(connection, query, values=None):
    """What a query is refused with."""
    try:
        found = ask(connection, query, values)
    except Failed as error:
        return str(error)
    raise AssertionError(f"not refused: {found.num_rows} rows")
