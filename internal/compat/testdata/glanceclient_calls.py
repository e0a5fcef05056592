"""Calls every method of the library behind the glance client, and looks at what it returns."""
import hashlib
import io

import glanceclient
from glanceclient import exc
from glanceclient.v2 import cache, image_members, image_tags, images, info, metadefs, tasks, versions
from watched import Watched, called, check_all_called, config, equal, login, methods, refused, until

controllers = {"images": images.Controller, "image_members": image_members.Controller, "image_tags": image_tags.Controller,
               "tasks": tasks.Controller, "versions": versions.VersionController, "info": info.Controller,
               "cache": cache.Controller, "metadefs_namespace": metadefs.NamespaceController,
               "metadefs_resource_type": metadefs.ResourceTypeController, "metadefs_property": metadefs.PropertyController,
               "metadefs_object": metadefs.ObjectController, "metadefs_tag": metadefs.TagController}


class Client:
    def __init__(self, who):
        client = glanceclient.Client("2", session=login(who), region_name=config["region"])
        for name in controllers:
            setattr(self, name, Watched(name, getattr(client, name)))


owner, guest, admin = Client("owner"), Client("guest"), Client("admin")
project, other = (config["users"][who]["project"] for who in ("owner", "guest"))
data = b"glance" * 50_000

# Images.
image = owner.images.create(name="library", disk_format="raw", container_format="bare", min_disk=1, min_ram=64, tags=["lts"],
                            os_hidden=False, protected=False, visibility="shared", os_distro="debian")
equal((image.status, image.owner, image.os_distro, image.size), ("queued", project, "debian", None))
owner.images.upload(image.id, io.BytesIO(data), backend="slow")
image = owner.images.get(image.id)
equal((image.status, image.size, image.virtual_size, image.stores), ("active", len(data), len(data), "slow"))
equal(image.checksum, hashlib.md5(data).hexdigest())
equal((image.os_hash_algo, image.os_hash_value), ("sha512", hashlib.sha512(data).hexdigest()))
equal(b"".join(owner.images.data(image.id)), data)
equal(b"".join(owner.images.data(image.id, do_checksum=False)), data)
image = owner.images.update(image.id, remove_props=["os_distro"], name="changed", os_version="12", min_ram=128, tags=["a", "b"])
equal((image.name, image.os_version, image.min_ram, sorted(image.tags)), ("changed", "12", 128, ["a", "b"]))
assert "os_distro" not in image
owner.images.deactivate(image.id)
equal(owner.images.get(image.id).status, "deactivated")
with refused(exc.HTTPForbidden):
    owner.images.data(image.id)
owner.images.reactivate(image.id)
equal(owner.images.get(image.id).status, "active")

more = [owner.images.create(name=f"more {i}", tags=["more"]) for i in range(4)]
equal([i.id for i in owner.images.list(page_size=2, sort="name:asc", filters={"tag": ["more"]})], [i.id for i in more])
equal([i.id for i in owner.images.list(limit=3, page_size=2, sort_key="name", sort_dir="desc", filters={"tag": ["more"]})],
      [i.id for i in reversed(more[1:])])
equal([i.id for i in owner.images.list(marker=more[2].id, sort="name:asc", filters={"tag": ["more"]})], [more[3].id])
equal([i.id for i in owner.images.list(filters={"os_version": "12", "owner": project})], [image.id])
with refused(exc.HTTPNotFound):
    guest.images.get(image.id)

# Tags, members.
owner.image_tags.update(image.id, "a tag with ü")
assert "a tag with ü" in owner.images.get(image.id).tags
owner.image_tags.delete(image.id, "b")
equal(sorted(owner.images.get(image.id).tags), ["a", "a tag with ü"])
member = owner.image_members.create(image.id, other)
equal((member.image_id, member.member_id, member.status), (image.id, other, "pending"))
with refused(exc.HTTPConflict):
    owner.image_members.create(image.id, other)
equal(guest.image_members.update(image.id, other, "accepted").status, "accepted")
equal([m.member_id for m in owner.image_members.list(image.id)], [other])
equal(guest.image_members.get(image.id, other).status, "accepted")
equal([i.id for i in guest.images.list(filters={"visibility": "shared", "owner": project})], [image.id])
owner.image_members.delete(image.id, other)
with refused(exc.HTTPNotFound):
    owner.image_members.get(image.id, other)

# Imports, stores, tasks.
assert "glance-direct" in owner.images.get_import_info()["import-methods"]["value"]
equal({s["id"]: s.get("default") for s in owner.images.get_stores_info()["stores"]}, {"fast": "true", "slow": None})
with refused(exc.HTTPForbidden):
    owner.images.get_stores_info_detail()
equal({s["type"] for s in admin.images.get_stores_info_detail()["stores"]}, {"file"})
staged = owner.images.create(name="staged", disk_format="raw", container_format="bare")
owner.images.stage(staged.id, io.BytesIO(data))
equal(owner.images.get(staged.id).status, "uploading")
owner.images.image_import(staged.id, stores=["fast", "slow"])
until(lambda: owner.images.get(staged.id).status == "active")
until(lambda: owner.images.get(staged.id)["os_glance_importing_to_stores"] == "")
equal(sorted(owner.images.get(staged.id).stores.split(",")), ["fast", "slow"])
with refused(exc.HTTPForbidden):
    owner.images.delete_from_store("slow", staged.id)
admin.images.delete_from_store("slow", staged.id)
equal(owner.images.get(staged.id).stores, "fast")
fetched = owner.images.create(name="fetched", disk_format="raw", container_format="bare")
owner.images.image_import(fetched.id, method="web-download", uri=config["web"], backend="slow")
until(lambda: owner.images.get(fetched.id).status == "active")
found = owner.images.get_associated_image_tasks(fetched.id)["tasks"]
equal([(t["image_id"], t["type"], t["input"]["import_req"]["method"]["name"]) for t in found],
      [(fetched.id, "api_image_import", "web-download")])
until(lambda: admin.tasks.get(found[0]["id"]).status == "success")
assert found[0]["id"] in [t.id for t in admin.tasks.list(page_size=2, filters={"status": "success"}, sort_key="id", sort_dir="desc")]
with refused(exc.HTTPForbidden):
    owner.tasks.get(found[0]["id"])
with refused(exc.HTTPBadRequest):
    admin.tasks.create(type="import", input={})
task = admin.tasks.create(type="import", input={"import_from": config["web"], "import_from_format": "raw", "image_properties": {
    "name": "by task", "disk_format": "raw", "container_format": "bare"}})
equal((task.type, task.owner), ("import", config["users"]["admin"]["project"]))
until(lambda: admin.tasks.get(task.id).status == "success")
made = admin.images.get(admin.tasks.get(task.id).result["image_id"])
equal((made.name, made.status, made.owner), ("by task", "active", task.owner))
admin.images.delete(made.id)

# What is off here is refused as Glance refuses it.
with refused(exc.HTTPForbidden):
    owner.images.add_location(image.id, "http://example.org/disk", {})
with refused(exc.HTTPBadRequest, "disabled API access to image locations"):
    owner.images.update_location(image.id, "http://example.org/disk", {})
with refused(exc.HTTPBadRequest, "disabled API access to image locations"):
    owner.images.delete_locations(image.id, {"http://example.org/disk"})
for call in (lambda: admin.cache.is_supported("v2.14"), admin.cache.list, lambda: admin.cache.delete(image.id),
             lambda: admin.cache.clear("both"), lambda: admin.cache.queue(image.id)):
    with refused(exc.HTTPNotImplemented, "does not support image caching"):
        call()

# Versions, usage.
found = owner.versions.list()
equal([v["status"] for v in found].count("CURRENT"), 1)
assert {"v2.0", "v2.7", "v2.12"} <= {v["id"] for v in found}
equal(owner.info.get_usage(), {})

# Metadata definitions.
space = "library::definitions"
equal(admin.metadefs_namespace.create(namespace=space, display_name="Library", visibility="public").owner, config["users"]["admin"]["project"])
equal(admin.metadefs_namespace.update(space, description="changed").description, "changed")
equal(owner.metadefs_namespace.get(space).display_name, "Library")
assert space in [n.namespace for n in owner.metadefs_namespace.list(page_size=3, sort_key="namespace", sort_dir="asc")]
with refused(exc.HTTPForbidden):
    owner.metadefs_namespace.delete(space)
equal(admin.metadefs_resource_type.associate(space, name="OS::Glance::Image", prefix="lib_").prefix, "lib_")
equal([r.name for r in owner.metadefs_resource_type.get(space)], ["OS::Glance::Image"])
assert "OS::Glance::Image" in [r.name for r in owner.metadefs_resource_type.list()]
equal(owner.metadefs_namespace.get(space, resource_type="OS::Glance::Image").display_name, "Library")
equal(admin.metadefs_property.create(space, name="p", title="P", type="integer", minimum=1).minimum, 1)
equal(admin.metadefs_property.update(space, "p", name="q", title="Q").title, "Q")
equal(owner.metadefs_property.get(space, "q").type, "integer")
equal([p.name for p in owner.metadefs_property.list(space)], ["q"])
admin.metadefs_property.delete(space, "q")
equal(list(owner.metadefs_property.list(space)), [])
equal(admin.metadefs_object.create(space, name="o", description="O", properties={"x": {"title": "X", "type": "string"}}).description, "O")
equal(admin.metadefs_object.update(space, "o", name="n", description="N").description, "N")
equal(owner.metadefs_object.get(space, "n").properties["x"]["title"], "X")
equal([o.name for o in owner.metadefs_object.list(space)], ["n"])
admin.metadefs_object.delete(space, "n")
with refused(exc.HTTPNotFound):
    owner.metadefs_object.get(space, "n")
equal(admin.metadefs_tag.create(space, "t").name, "t")
equal(sorted(t.name for t in admin.metadefs_tag.create_multiple(space, tags=["a", "b"])), ["a", "b"])
equal(sorted(t.name for t in owner.metadefs_tag.list(space)), ["a", "b"])  # with append=True this version cannot send its header
admin.metadefs_tag.create(space, "c")
equal(admin.metadefs_tag.update(space, "c", name="d").name, "d")
equal(owner.metadefs_tag.get(space, "d").name, "d")
admin.metadefs_tag.delete(space, "d")
equal(sorted(t.name for t in owner.metadefs_tag.list(space)), ["a", "b"])
admin.metadefs_tag.delete_all(space)
equal(list(owner.metadefs_tag.list(space)), [])
admin.metadefs_property.create(space, name="p", title="P", type="string")
admin.metadefs_property.delete_all(space)
equal(list(owner.metadefs_property.list(space)), [])
admin.metadefs_object.create(space, name="o")
admin.metadefs_object.delete_all(space)
equal(list(owner.metadefs_object.list(space)), [])
admin.metadefs_resource_type.deassociate(space, "OS::Glance::Image")
equal(list(owner.metadefs_resource_type.get(space)), [])
admin.metadefs_namespace.delete(space)
with refused(exc.HTTPNotFound):
    owner.metadefs_namespace.get(space)

for i in [image, staged, fetched] + more:
    owner.images.delete(i.id)
equal(list(owner.images.list(filters={"owner": project})), [])
check_all_called({m for name, kind in controllers.items() for m in methods(name, kind)}, [])
print(len(called), "methods were called")
