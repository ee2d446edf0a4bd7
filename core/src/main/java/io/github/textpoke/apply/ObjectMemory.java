package io.github.textpoke.apply;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableList.Builder;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.NoRoomException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.NearHole;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Memory in a target for whole objects of ours: each segment a private mapping of a file in memory,
 * with a protection of its own and a name in {@code /proc/PID/maps}. A child that the target forks
 * gets a copy. Thread-safe, as the {@link TargetProcess} is that it is of.
 */
public final class ObjectMemory {
  private static final long PAGE = 4096;

  /** How often a hole that was taken meanwhile is followed by another. */
  private static final int TRIES = 16;

  private static final String PREFIX = "textpoke-";

  /** How the kernel shows a file of memfd_create (mm/memfd.c, MFD_NAME_PREFIX). */
  private static final String IN_MAPS = "/memfd:" + PREFIX;

  /** Fits where the poker reads it, and keeps a line of /proc/PID/maps one line. */
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._-]{1,64}");

  /** What a part of ours is called whose life the ledger or an engine rules. */
  private static final Pattern RESERVED =
      Pattern.compile("(out-of-line|ledger|code|session|data|call)(-.*)?");

  private final TargetProcess process;

  ObjectMemory(TargetProcess process) {
    this.process = process;
  }

  /**
   * The nearest room that is free now, and where nothing will grow. Nothing is mapped: the program
   * may take it before {@link #map} does, which says so.
   *
   * @param nearStart absolute address of the first byte that must be reached by a signed 32-bit
   *     displacement from all of the room, and the other way round
   * @param nearEnd absolute, behind the last such byte
   * @param size bytes, whole pages
   * @return absolute address of the first page
   * @throws NoRoomException if there is none
   */
  public long room(long nearStart, long nearEnd, long size) {
    return NearHole.find(MemoryMap.read(process.pid()), nearStart, nearEnd, size)
        .orElseThrow(
            () ->
                new NoRoomException(
                    nearStart, "no hole of %d bytes is free within 2 GiB".formatted(size)));
  }

  /**
   * Maps the segments of an object, and fills them before anybody can run them. All of them, or
   * none.
   *
   * @param name of one to 64 letters, digits, dots, dashes and underscores; in {@code
   *     /proc/PID/maps} each mapping is called {@code textpoke-NAME}
   * @param segments none of which overlaps another
   * @return false, with nothing mapped, where the program has mapped something there meanwhile: ask
   *     for another room, and link the object anew for that
   * @throws UnwritableMappingException if the kernel forbids to write what the target can't, with
   *     nothing mapped
   * @throws PatchException of another type that names the cause
   */
  public boolean map(String name, ImmutableList<ObjectSegment> segments) {
    checkName(name);
    checkApart(segments);
    return process.execute(engine -> engine.exclusively(() -> map(engine, name, segments)));
  }

  /**
   * Maps memory, all zero, that the target may read and write, and that this JVM shares: what is
   * written there can be read when the target has ended, however that was. Children that the target
   * forks share it too, until they execute another program. It stays mapped in the target.
   *
   * @param name as for {@link #map}
   * @param nearStart as for {@link #room}
   * @param nearEnd as for {@link #room}
   * @param size bytes, whole pages
   * @throws NoRoomException if there is no room
   * @throws PatchException of another type that names the cause
   */
  public SharedMemory share(String name, long nearStart, long nearEnd, long size) {
    checkName(name);
    return process.execute(
        engine ->
            engine.exclusively(
                () -> {
                  for (int i = 0; i < TRIES; i++) {
                    // A page apart: a helper of ours may map one where the kernel likes it best.
                    long at = room(nearStart, nearEnd, size + 2 * PAGE) + PAGE;
                    Optional<SharedMemory> shared = engine.share(PREFIX + name, at, size);
                    if (shared.isPresent()) {
                      return shared.get();
                    }
                  }
                  throw new NoRoomException(
                      nearStart, "each hole was taken by the program meanwhile");
                }));
  }

  static boolean map(ObjectEngine engine, String name, ImmutableList<ObjectSegment> segments) {
    Builder<ObjectSegment> mapped = ImmutableList.builder();
    boolean isWhole = false;
    try {
      for (ObjectSegment segment : segments) {
        if (!engine.map(
            PREFIX + name, segment.address(), segment.length(), segment.access().protection)) {
          return false;
        }
        mapped.add(segment);
      }
      for (ObjectSegment segment : segments) {
        if (segment.bytes().length() > 0) {
          engine.fill(segment.address(), segment.bytes());
        }
      }
      isWhole = true;
      return true;
    } finally {
      if (!isWhole) {
        mapped.build().forEach(segment -> engine.unmap(segment.address(), segment.length()));
      }
    }
  }

  /**
   * Reads memory of the target; nothing is traced for it.
   *
   * @param address absolute
   * @param length bytes
   * @throws UnwritableMappingException if not all of it is mapped
   */
  public CodeBytes read(long address, int length) {
    return process.read(address, length);
  }

  /**
   * The mappings that are called so, by address.
   *
   * @param name a regular expression for the name that was given to {@link #map}
   */
  public ImmutableList<Mapping> mapped(Pattern name) {
    return MemoryMap.read(process.pid()).mappings().stream()
        .filter(mapping -> mapping.deleted() && !mapping.shared())
        .filter(mapping -> mapping.path().startsWith(IN_MAPS))
        .filter(mapping -> name.matcher(mapping.path().substring(IN_MAPS.length())).matches())
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * Writes to an object of ours. Up to eight bytes that lie in one aligned word are written at
   * once.
   *
   * @param address absolute
   * @throws PatchException of the type that names the cause
   */
  public void write(long address, CodeBytes bytes) {
    process.<Boolean>execute(
        engine -> {
          engine.fill(address, bytes);
          return true;
        });
  }

  /**
   * As {@link #write}, to memory that the target itself may write. Nothing is traced for it, so it
   * takes some microseconds.
   *
   * @param address absolute
   * @throws UnwritableMappingException if it is not mapped
   * @throws PatchException of another type that names the cause
   */
  public void store(long address, CodeBytes bytes) {
    process.store(address, bytes);
  }

  /**
   * Unmaps an object, or a part of it. That no thread runs it, will return into it, or looks at its
   * data, is for the caller to prove.
   *
   * @param name as it was mapped
   * @param start absolute address of its first page
   * @param end absolute, behind its last page; holes between its segments are no matter
   * @throws UnwritableMappingException if something else is mapped there; nothing was unmapped
   * @throws PatchException of another type that names the cause
   */
  public void unmap(String name, long start, long end) {
    checkName(name);
    checkArgument(start < end, "nothing from 0x%s on", Long.toHexString(start));
    process.<Boolean>execute(
        engine ->
            engine.exclusively(
                () -> {
                  unmap(process.pid(), engine, name, start, end);
                  return true;
                }));
  }

  /** A file that the program could make at that path is not one that was removed. */
  static boolean isOurs(Mapping mapping, String name) {
    return mapping.path().equals(IN_MAPS + name) && mapping.deleted() && !mapping.shared();
  }

  static void unmap(int pid, ObjectEngine engine, String name, long start, long end) {
    ImmutableList<Mapping> inside =
        MemoryMap.read(pid).mappings().stream()
            .filter(mapping -> mapping.start() < end && mapping.end() > start)
            .collect(ImmutableList.toImmutableList());
    for (Mapping mapping : inside) {
      if (!isOurs(mapping, name) || mapping.start() < start || mapping.end() > end) {
        throw new UnwritableMappingException(
            mapping.start(),
            "it is not to be unmapped: expected mappings of "
                + IN_MAPS
                + name
                + ", found "
                + mapping,
            Outcome.UNTOUCHED);
      }
    }
    inside.forEach(mapping -> engine.unmap(mapping.start(), mapping.length()));
  }

  private static void checkName(String name) {
    checkArgument(NAME.matcher(name).matches(), "'%s' is no name of an object", name);
    checkArgument(!RESERVED.matcher(name).matches(), "'%s' is a name of our own", name);
  }

  private static void checkApart(ImmutableList<ObjectSegment> segments) {
    checkArgument(!segments.isEmpty(), "an object without segments");
    for (int i = 0; i < segments.size(); i++) {
      for (int k = 0; k < i; k++) {
        ObjectSegment a = segments.get(k);
        ObjectSegment b = segments.get(i);
        checkArgument(a.end() <= b.address() || b.end() <= a.address(), "%s overlaps %s", a, b);
      }
    }
  }
}
