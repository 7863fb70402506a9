"""Quotas of users, client ids and ip addresses: what can be set, what is refused and why, and what is found again.

No quota here is one that the scripts' own connections come under and could feel.
"""

import math

from harness import schema, session

EXACT, DEFAULT, ANY = range(3)
PRODUCE, CONSUME, REQUEST = "producer_byte_rate", "consumer_byte_rate", "request_percentage"
MUTATE, CONNECT = "controller_mutation_rate", "connection_creation_rate"
# What the default entities get: more than anybody uses.
PLENTY = 2.0**30


def entity(**parts):
    """`user`, `client_id` and `ip`, each a name or None for the default."""
    return [{"entity_type": part.replace("_", "-"), "entity_name": name} for part, name in parts.items()]


def entry(parts, *ops):
    return {"entity": parts, "ops": [
        {"key": key, "value": 0.0 if value is None else value, "remove": value is None} for key, value in ops]}


def alter(recorder, what, version, *entries, validate_only=False):
    recorder.call(what, schema.ALTER_CLIENT_QUOTAS, version, {"entries": list(entries), "validate_only": validate_only})


def describe(recorder, what, version, *components, strict=False):
    recorder.call(what, schema.DESCRIBE_CLIENT_QUOTAS, version, {"strict": strict, "components": [
        {"entity_type": part, "match_type": match, "match": name} for part, match, name in components]})


def alter_client_quotas(recorder):
    """Every key and kind of entity, values at and beyond the limits, entities that are none."""
    for version in range(2):
        user = recorder.name(f"u{version}")
        someone = entity(user=user)
        for what, ops in {
            "set": [(PRODUCE, 5.0)], "same again": [(PRODUCE, 5.0)],
            "all": [(PRODUCE, 6.0), (CONSUME, 7.0), (REQUEST, 0.5), (MUTATE, 0.25)],
            "removed": [(PRODUCE, None)], "removed again": [(PRODUCE, None)], "unknown key removed": [("nope", None)], "no ops": [],
            "unknown key": [("nope", 1.0)], "empty key": [("", 1.0)], "key of ips": [(CONNECT, 5.0)],
            "right and unknown": [(CONSUME, 8.0), ("nope", 1.0)],
            "removed and unknown": [(CONSUME, None), ("nope", 1.0)], "zero": [(PRODUCE, 0.0)], "minus zero": [(PRODUCE, -0.0)],
            "negative": [(REQUEST, -1.0)],
            "fraction": [(PRODUCE, 5.5)], "nearly whole": [(PRODUCE, 5.0000009)], "nearly whole from below": [(PRODUCE, 4.9999999)],
            "fraction of a percent": [(REQUEST, 0.0001)], "half a mutation": [(MUTATE, 0.5)], "tiny": [(MUTATE, 5e-324)],
            "tiny long": [(PRODUCE, 5e-324)],
            "largest long": [(CONSUME, float(2**63))], "beyond the largest long": [(CONSUME, 2.0**63 + 2048)],
            "large double": [(REQUEST, 1e300)],
            "infinite long": [(PRODUCE, math.inf)], "infinite double": [(REQUEST, math.inf)],
            "minus infinity": [(REQUEST, -math.inf)],
            "no number": [(REQUEST, math.nan)], "no number, long": [(PRODUCE, math.nan)],
            "numbers again": [(REQUEST, 1.0), (PRODUCE, 1.0)],
            "key twice": [(PRODUCE, 1.0), (PRODUCE, 2.0)], "removed and set": [(PRODUCE, None), (PRODUCE, 2.0)],
        }.items():
            alter(recorder, what, version, entry(someone, *ops))
        for what, parts in {
            "user": entity(user=user), "client id": entity(client_id=user), "both": entity(user=user, client_id=user),
            "client id first": entity(client_id=user, user=user), "any user": entity(user=None),
            "any client id": entity(client_id=None),
            "any of both": entity(user=None, client_id=None), "user and any client id": entity(user=user, client_id=None),
            "none": [], "empty user": entity(user=""), "empty client id": entity(client_id=""),
            "one empty of two": entity(user=user, client_id=""),
            "unknown type": entity(group="g"), "empty type": [{"entity_type": "", "entity_name": "x"}],
            "unknown type besides": entity(user=user, zone="z"),
            "upper case": [{"entity_type": "User", "entity_name": "x"}], "user twice": entity(user="a") + entity(user=user),
            "strange name": entity(user="a b/\u00e9:%"), "ip": entity(ip="127.0.0.9"),
            "ip and user": entity(ip="127.0.0.9", user=user),
            "ip and client id": entity(client_id=None, ip=None), "all three": entity(user=None, client_id=None, ip=None),
        }.items():
            alter(recorder, f"entity, {what}", version, entry(parts, (CONSUME, PLENTY)))
            alter(recorder, f"entity, {what}, twice", version, *[entry(parts, (CONSUME, PLENTY))] * 2)
        for name in ("127.0.0.9", "::1", "0:0:0:0:0:0:0:2", None, "", "1.2.3.400", "no.such.host.invalid", "1.2.3.4/8",
                     " 127.0.0.1", "::g", "localhost"):
            alter(recorder, f"ip {name!r}", version, entry(entity(ip=name), (CONNECT, PLENTY)))
        alter(recorder, "ip 'localhost' no more", version, entry(entity(ip="localhost"), (CONNECT, None)))
        address = entity(ip="127.0.0.8")
        for value in (1.0, 1.5, 0.0, 32768.0, 2.0**31 - 1, 2.0**31, math.inf):
            alter(recorder, f"connections {value}", version, entry(address, (CONNECT, value)))
        other = entry(entity(client_id=user), (PRODUCE, 77.0))
        alter(recorder, "nothing", version)
        alter(recorder, "first of two counts", version, entry(someone, (PRODUCE, 21.0)), entry(someone, (PRODUCE, 22.0)), other)
        alter(recorder, "wrong, then right", version, entry(someone, (PRODUCE, 0.0)), entry(someone, (PRODUCE, 23.0)))
        alter(recorder, "one right one wrong", version, other, entry(someone, (PRODUCE, -1.0)))
        alter(recorder, "validate only", version, entry(someone, (PRODUCE, 99.0)), validate_only=True)
        alter(recorder, "validate only, wrong", version, entry(someone, (PRODUCE, 0.0)), validate_only=True)
        session.settle(recorder.connection, recorder.name(f"altered-quotas-{version}"))
        describe(recorder, f"after version {version}", version)
        clear(recorder, f"after version {version}", version)


def clear(recorder, what, version):
    """Takes back all quotas there are; no other script sets any."""
    found = recorder.connection.call(schema.DESCRIBE_CLIENT_QUOTAS, 1, {"components": [], "strict": False})["entries"]
    alter(recorder, f"cleared {what}", version, *[
        entry(one["entity"], *[(value["key"], None) for value in one["values"]]) for one in found])
    session.settle(recorder.connection, recorder.name(f"cleared-quotas-{version}-{what.replace(' ', '-')}"))
    describe(recorder, f"cleared {what}", version)


def too_many_client_quotas(recorder):
    """One record more than a request may lead to."""
    users = [entry(entity(user=recorder.name(f"m{index}")), (PRODUCE, 5.0), (CONSUME, 5.0)) for index in range(5001)]
    for version in range(2):
        alter(recorder, "more than 10000 records", version, *users)
        alter(recorder, "more than 10000 records, validated", version, *users, validate_only=True)
        describe(recorder, "nothing is set", version)


def describe_client_quotas(recorder):
    """Filters of every kind, over every kind of entity."""
    users, clients = [recorder.name(f"du{index}") for index in range(2)], [recorder.name(f"dc{index}") for index in range(2)]
    entities = [entity(user=user) for user in [*users, None]] + [entity(client_id=client) for client in [*clients, None]]
    entities += [entity(user=user, client_id=client) for user in [*users, None] for client in [*clients, None]]
    everybody = [entry(one, (PRODUCE, PLENTY + index), (REQUEST, PLENTY)) for index, one in enumerate(entities)]
    everybody += [entry(entity(ip=ip), (CONNECT, PLENTY)) for ip in ("127.0.0.9", None)]
    alter(recorder, "set", 1, *everybody)
    session.settle(recorder.connection, recorder.name("described-quotas"))
    names = {"user": users[0], "client-id": clients[0], "ip": "127.0.0.9"}
    for version in range(2):
        for strict in (False, True):
            def ask(what, *components, version=version, strict=strict):
                describe(recorder, f"{what}, {'strict' if strict else 'lenient'}", version, *components, strict=strict)
            ask("all")
            for part, name in names.items():
                matches = {"exact": (part, EXACT, name), "default": (part, DEFAULT, None), "any": (part, ANY, None)}
                for what, component in matches.items():
                    ask(f"{part} {what}", component)
                    for other in ("user", "client-id", "ip"):
                        ask(f"{part} {what} and any {other}", component, (other, ANY, None))
                        ask(f"{part} {what} and {other} exact", component, (other, EXACT, names[other]))
                ask(f"{part} unknown", (part, EXACT, "nobody"))
                ask(f"{part} empty", (part, EXACT, ""))
                ask(f"{part} exact without a name", (part, EXACT, None))
                for match, what in {DEFAULT: "default", ANY: "any", 3: "match 3", -1: "match -1"}.items():
                    ask(f"{part} {what} with a name", (part, match, "x"))
                ask(f"{part} match 3 without a name", (part, 3, None))
            ask("all three", *[(part, ANY, None) for part in names])
            ask("unknown type", ("group", ANY, None))
            ask("unknown type twice", ("group", ANY, None), ("group", ANY, None))
            ask("unknown match of an unknown type", ("group", 9, None))
            ask("right and unknown type", ("user", ANY, None), ("group", ANY, None))
            ask("empty type", ("", ANY, None))
            ask("upper case", ("USER", ANY, None))
    clear(recorder, "the described", 1)


SCRIPTS = [too_many_client_quotas, alter_client_quotas, describe_client_quotas]
