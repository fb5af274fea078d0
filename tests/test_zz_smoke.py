import trio, time
from tests.serving import *
from tests.wire import *
async def test_smoke(tmp_path):
    with trio.fail_after(20):
      async with open_gateway(tmp_path/"s") as g:
        async with open_wire(g.port) as w:
            r = await w.connect(key=key_of(1), token=TOKEN)
            assert r["ok"], r
            print(r)
            print(await w.result("health"))
            print(await w.result("device.pair.list"))
            print(await w.call("nonsense"))
            async with open_wire(g.port, headers=(("X-Forwarded-For","203.0.113.9"),)) as x:
                r = await x.connect(key=key_of(2), token=TOKEN)
                print(r); print(await x.closed())
                rid=r["error"]["details"]["requestId"]
                print(await w.event("device.pair.requested"))
            print(await w.result("device.pair.approve", {"requestId": rid.lower().replace("-","")}))
            print(await w.event("device.pair.resolved"))
            async with open_wire(g.port, headers=(("X-Forwarded-For","203.0.113.9"),)) as x:
                r = await x.connect(key=key_of(2), token=TOKEN)
                assert r["ok"], r
            async with open_wire(g.port) as x:
                r = await x.connect(token=TOKEN, scopes=("operator.read",)); print(r["ok"], r["payload"]["auth"])
            g.stop.set()
            print(await w.closed())
            print(w.events)
