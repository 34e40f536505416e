"""What the tests take for a GeoIP database: addresses of documentation."""


def country(address):
    return {"198.51": "DE", "203.0": "BR", "10.248": "NL"}.get(".".join((address or "").split(".")[:2]))


def city(address):
    return {"198.51.100.7": "Berlin", "203.0.113.20": "Natal", "203.0.113.21": "Natal"}.get(address)
