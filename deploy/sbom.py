"""The bill of materials of a release, in CycloneDX 1.5: of `cargo metadata` on stdin.

    cargo metadata --locked --format-version 1 --filter-platform TARGET | python3 deploy/sbom.py SECONDS

SECONDS since 1970 are its time, so that the same lock files give the same bytes. It has the crates that are linked into the
program, and those that build it, and the npm packages in its web page; none of the tests.
"""

import datetime
import json
import pathlib
import sys
import urllib.parse
import uuid

LOCK = pathlib.Path(__file__).parent.parent / "console" / "package-lock.json"


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def reachable(nodes, root):
    """The packages that the root needs, by a dependency that is not for tests only, and of each the ones that it needs."""
    found, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        kept = [
            dependency["pkg"]
            for dependency in nodes[package]["deps"]
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        ]
        found[package] = kept
        waiting += kept
    return found


def component(package, kind="library"):
    entry = {
        "type": kind,
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package.get("license"):
        # The older syntax of crates, `MIT/Apache-2.0`, is `OR`.
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package.get("repository"):
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def npm_packages():
    """The packages in the web page: name to the entry of the lock file."""
    packages = json.loads(LOCK.read_text())["packages"]
    at = "node_modules/"
    return {path.rpartition(at)[2]: entry for path, entry in packages.items() if path and not entry.get("dev")}


def npm_purl(name, entry):
    return f"pkg:npm/{urllib.parse.quote(name, safe='/')}@{entry['version']}"


def npm_component(name, entry):
    purl = npm_purl(name, entry)
    component = {"type": "library", "bom-ref": purl, "name": name, "version": entry["version"], "purl": purl}
    if entry.get("license"):
        component["licenses"] = [{"expression": entry["license"]}]
    return component


def npm_needs(entry, packages):
    return sorted(npm_purl(name, packages[name]) for name in entry.get("dependencies", {}) if name in packages)


def main():
    seconds = int(sys.argv[1])
    metadata = json.load(sys.stdin)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    needed = reachable(nodes, root)
    libraries = sorted((packages[one] for one in needed if one != root), key=purl)
    page = dict(sorted(npm_packages().items()))
    refs = "\n".join([*(purl(package) for package in libraries), *(npm_purl(*one) for one in page.items())])

    def in_page(package):
        return {npm_purl(*one) for one in page.items()} if package == root else set()

    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, purl(packages[root]) + refs + str(seconds))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(),
            "component": component(packages[root], "application"),
        },
        "components": [component(package) for package in libraries] + [npm_component(*one) for one in page.items()],
        "dependencies": [
            {"ref": purl(packages[one]), "dependsOn": sorted({purl(packages[other]) for other in others} | in_page(one))}
            for one, others in sorted(needed.items(), key=lambda item: purl(packages[item[0]]))
        ]
        + [{"ref": npm_purl(*one), "dependsOn": npm_needs(one[1], page)} for one in page.items()],
    }
    json.dump(bom, sys.stdout, indent=1, sort_keys=True)
    print()


main()
