"""Feast's Redis online store, in which a newer event is never overwritten by an older one.

Feast's own store reads the event times first and writes afterwards: two writers at once both find the place free, and of
equal times it keeps the first. Here Redis compares and writes in one step, a script per entity.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from feast.infra.online_stores.helpers import _mmh3, _redis_key, compute_versioned_name
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from google.protobuf.timestamp_pb2 import Timestamp

from mlops_platform.adapters.feast.newest import Row, in_utc, newest_of_each

# rows sent before answers are read
_CHUNK = 1_000
# KEYS: the entity. ARGV: the field of the view's event time, its seconds, nanoseconds and encoding, seconds to live, then
# fields and values. The stored event time is a protobuf Timestamp: two variable-length numbers, left out when zero. One that
# cannot be read, or lies before 1970, gives way.
_SCRIPT = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored then
  local part, at = {[8] = 0, [16] = 0}, 1
  while at <= #stored do
    local tag, number, scale, byte = string.byte(stored, at), 0, 1, nil
    repeat
      at = at + 1
      byte = string.byte(stored, at)
      if byte then
        number = number + (byte % 128) * scale
        scale = scale * 128
      end
    until not byte or byte < 128
    part[tag] = number
    at = at + 1
  end
  if part[8] >= 2 ^ 62 then part[8] = -1 end
  local seconds, nanos = tonumber(ARGV[2]), tonumber(ARGV[3])
  if part[8] > seconds or (part[8] == seconds and part[16] > nanos) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
for at = 6, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
if ARGV[5] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[5]) end
return 1
"""
# Redis's own name for a script it has seen
_DIGEST = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class NewestRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]  # Feast ships no hints
    """What Feast's `redis` takes; `skip_dedup` changes nothing, because there is nothing to save any more."""

    type: Literal["mlops_platform.adapters.feast.redis.NewestRedisOnlineStore"]


class NewestRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Keeps the rule of adapters/feast/newest.py, in one step per entity. A batch that fails may be written in part; repeat it."""

    keeps_newest = True

    def online_write_batch(
        self, config: Any, table: Any, data: Sequence[Row], progress: Callable[[int], Any] | None
    ) -> None:
        """Write each entity's newest row unless a newer event is stored."""
        client = self._get_client(config.online_store)
        for chunk in _chunks(newest_of_each(data)):
            with client.pipeline(transaction=False) as pipe:
                _queue(pipe, config, table, chunk)
                pipe.execute()
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: Any, table: Any, data: Sequence[Row], progress: Callable[[int], Any] | None
    ) -> None:
        """Like `online_write_batch`; ours, because Feast's compares and writes in two steps here too."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)


def _chunks(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))


def _queue(pipe: Any, config: Any, table: Any, rows: Sequence[Row]) -> None:
    """Put one script call per row into a pipeline."""
    view = compute_versioned_name(table, config.registry.enable_online_feature_view_versioning)
    store = config.online_store
    # in a cluster each row may be of another server
    alone = store.redis_type == "redis_cluster"
    for position, (entity, values, moment, _) in enumerate(rows):
        key = _redis_key(
            config.project, entity, entity_key_serialization_version=config.entity_key_serialization_version
        )
        at = Timestamp()
        at.FromDatetime(in_utc(moment))
        fields: list[Any] = [f"_ts:{view}", at.seconds, at.nanos, at.SerializeToString(), store.key_ttl_seconds or 0]
        for feature, value in values.items():
            fields += [_mmh3(f"{view}:{feature}"), value.SerializeToString()]
        # the first call brings the script, the others name it
        if position == 0 or alone:
            pipe.eval(_SCRIPT, 1, key, *fields)
        else:
            pipe.evalsha(_DIGEST, 1, key, *fields)
