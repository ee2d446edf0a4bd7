package io.github.textpoke.x86.link;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.github.textpoke.elf.Segment;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.link.LinkedSegment.Protection;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Compares with glibc's loader, byte for byte: it loads an object in a process, up to the object's
 * first constructor, and we link the same object for the same address against the symbols of that
 * process.
 */
final class LoaderDifferentialTest {
  /** Tags whose values glibc makes absolute in memory: the addresses in the dynamic section. */
  private static final Set<Long> MOVED_BY_GLIBC =
      Set.of(3L, 4L, 5L, 6L, 7L, 17L, 23L, 36L, 0x6fff_fef5L, 0x6fff_fff0L);

  private static final String C =
      """
      #include <errno.h>
      #include <pthread.h>
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      extern int target_counter;
      extern long target_table[100];
      extern void target_loading(void *inside);
      extern int target_add(int, int);
      extern int target_weak(void);
      extern int target_chosen(void);
      extern int hidden_nowhere(void) __attribute__((weak));
      extern int data_nowhere __attribute__((weak));
      extern __thread int target_errno __attribute__((tls_model("initial-exec")));
      extern __thread long target_other __attribute__((tls_model("initial-exec")));
      static int zero[3000], three = 3;
      int exported_data[5] = {1, 2, 3, 4, 5};
      static int twice(int x) { return 2 * x; }
      const char *const names[] = {"a", "bc", "def"};
      long *inside = &target_table[42];
      void *const functions[] = {(void *) twice, (void *) memcpy, (void *) target_add, stdout_of};
      int *own[] = {&exported_data[2], &three, zero + 17, &target_counter, &data_nowhere};
      static int fast(void) { return 1; }
      static void *resolve_local(void) { return (void *) fast; }
      int selected(void) __attribute__((ifunc("resolve_local")));
      static int hidden_selected(void) __attribute__((ifunc("resolve_local")));
      int (*pointer_to_selected)(void) = selected;
      int (*pointer_to_chosen)(void) = target_chosen;
      __attribute__((constructor(102))) static void second(void) { three++; }
      __attribute__((constructor(101))) static void first(void) { target_loading(&three); }
      __attribute__((destructor)) static void last(void) { three = 0; }
      int replacement(int a) {
        char copy[64];
        memcpy(copy, names, a & 31);
        if (hidden_nowhere) a += hidden_nowhere();
        errno = target_errno + (int) target_other;
        fprintf(stderr, "%s %d\\n", strchr(copy, 'a'), zero[a & 7]);
        pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        pthread_mutex_lock(&lock);
        return twice(a) + target_add(a, target_counter) + target_weak() + selected()
               + target_chosen() + hidden_selected() + atoi(copy) + (int) target_table[a & 3];
      }
      """
          .replace("stdout_of", "(void *) &stdout");

  private static final String CPP =
      """
      #include <iostream>
      #include <map>
      #include <stdexcept>
      #include <string>
      extern "C" int target_add(int, int);
      extern "C" void target_loading(void *inside);
      __attribute__((constructor(101))) static void first() { target_loading((void *) first); }
      struct Base { virtual ~Base() {} virtual int f() { return 1; } };
      struct Derived : Base { std::string s = "x"; int f() override { return target_add(1, 2); } };
      struct Failure : std::runtime_error { using std::runtime_error::runtime_error; };
      static std::map<std::string, int> table = {{"a", 1}, {"b", 2}};
      template <class T> struct Once { static T value; };
      template <class T> T Once<T>::value = T();
      inline int &counter() { static int c; return c; }
      extern "C" int replacement(int a) {
        try {
          Derived d;
          if (a > 5) throw Failure("large");
          std::cout << table["a"] << d.s << Once<int>::value << counter();
          return dynamic_cast<Base &>(d).f();
        } catch (const std::exception &e) {
          return (int) std::string(e.what()).size();
        }
      }
      """;

  @TempDir Path directory;

  private Path object(String compiler, String name, String source, String flags) throws Exception {
    Files.writeString(directory.resolve(name), source);
    List<String> command = new ArrayList<>(List.of(compiler, "-shared", "-o", "object.so", name));
    command.addAll(Arrays.asList(flags.split(" ")));
    Compiled.output(directory, command);
    return directory.resolve("object.so");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "-O2 -fPIC",
        "-O0 -fPIC",
        "-O2 -fPIC -fno-plt",
        "-O2 -fPIC -Wl,-z,now,-z,relro",
        "-O2 -fPIC -Wl,-z,lazy,-z,norelro",
        "-O2 -fPIC -Wl,-z,pack-relative-relocs",
        "-O2 -fPIC -fcf-protection=full -Wl,-z,noseparate-code",
        "-O2 -fPIC -fvisibility=hidden -g",
        "-Os -fPIC -ffunction-sections -Wl,--gc-sections,--hash-style=sysv",
        "-O2 -fPIC -fuse-ld=gold",
        "-O2 -fPIC -mtls-dialect=gnu2 -Wl,-Bsymbolic,-z,combreloc"
      })
  void linksAnObjectInCAsTheLoaderDoes(String flags) throws Exception {
    check(object("gcc", "object.c", C, flags));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"-O2 -fPIC", "-O0 -fPIC -fno-plt", "-O2 -fPIC -fno-gnu-unique -fuse-ld=gold"})
  void linksAnObjectInCppAsTheLoaderDoes(String flags) throws Exception {
    // The loader brings the C++ library with it.
    check(object("g++", "object.cc", CPP, flags));
  }

  /** Where clang is installed; bin/test does not bring it. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "-O2 -fPIC",
        "-O0 -fPIC -fno-plt",
        "-O2 -fPIC -fuse-ld=lld",
        "-O2 -fPIC -fno-plt -fuse-ld=lld -Wl,-z,now,-z,relro",
        "-Os -fPIC -fvisibility=hidden -fcf-protection=full -fuse-ld=lld -Wl,--hash-style=gnu"
      })
  void linksWhatClangMakesAsTheLoaderDoes(String flags) throws Exception {
    assumeThat(Path.of("/usr/bin/clang")).exists();
    assumeThat(Path.of("/usr/bin/ld.lld")).exists();
    check(object("clang", "object.c", C, flags));
    check(object("clang++", "object.cc", CPP, flags));
  }

  /** An executable for a fixed address holds copies of data of its libraries. */
  @ParameterizedTest
  @ValueSource(strings = {"-no-pie -fno-pie", "-pie -fPIE -Wl,-z,now", "-no-pie -Wl,-z,norelro"})
  void linksAgainstEachKindOfExecutableAsItsLoaderDoes(String flags) throws Exception {
    check(object("gcc", "object.c", C, "-O2 -fPIC"), flags.split(" "));
  }

  private void check(Path object, String... target) throws Exception {
    PatchObject parsed = PatchObject.parse(object.toString(), Files.readAllBytes(object));
    try (Dlopened process = Dlopened.start(Dlopened.target(directory, target), object)) {
      Linked linked = Linker.link(parsed, process.base(), process.scope());
      assertThat(linked.base()).isEqualTo(process.base());
      compare(parsed, linked, process);
    }
  }

  private static void compare(PatchObject object, Linked linked, Dlopened process) {
    int compared = 0;
    for (Segment segment : object.segments()) {
      if (segment.isWritable()) {
        compared += compareWritable(object, linked, process, segment);
      } else {
        int size = (int) segment.memorySize();
        assertThat(bytes(linked, segment.address() + linked.bias(), size))
            .isEqualTo(process.read(segment.address() + linked.bias(), size).toByteArray());
      }
    }
    // There was something to relocate.
    assertThat(compared).isGreaterThan(20);
    MemoryMap map = process.map();
    for (LinkedSegment pages : linked.segments()) {
      for (long page = pages.address(); page < pages.end(); page += 4096) {
        assertThat(map.at(page).orElseThrow().toString())
            .contains(" " + pages.protection().letters() + "p");
      }
    }
  }

  /** The number of words that are not as they are in the file. */
  private static int compareWritable(
      PatchObject object, Linked linked, Dlopened process, Segment segment) {
    long start = segment.address() + linked.bias();
    int size = (int) segment.memorySize();
    ByteBuffer theirs = words(process.read(start, size).toByteArray());
    ByteBuffer ours = words(bytes(linked, start, size));
    ByteBuffer file = words(Arrays.copyOf(object.image().contents(segment).toByteArray(), size));
    undoDynamic(object, segment, linked.bias(), theirs);
    for (PendingCall call : linked.pendingCalls()) {
      // Ours waits for the target to run the resolver; each chooses the first function of the file.
      if (call.slot() >= start && call.slot() < start + size) {
        assertThat(ours.getLong((int) (call.slot() - start))).isZero();
        ours.putLong((int) (call.slot() - start), linked.address("fast") + call.addend());
      }
    }
    int changed = 0;
    for (int at = 0; at + 8 <= size; at += 8) {
      assertThat(ours.getLong(at))
          .as("word at 0x%x", segment.address() + at)
          .isEqualTo(theirs.getLong(at));
      changed += ours.getLong(at) == file.getLong(at) ? 0 : 1;
    }
    return changed;
  }

  private static ByteBuffer words(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** glibc moves the addresses in the dynamic section itself; we leave them as they are. */
  private static void undoDynamic(
      PatchObject object, Segment segment, long bias, ByteBuffer theirs) {
    for (Segment dynamic : object.image().segments()) {
      if (dynamic.isDynamic() && segment.contains(dynamic.address())) {
        int first = (int) (dynamic.address() - segment.address());
        for (int at = first; theirs.getLong(at) != 0; at += 16) {
          if (MOVED_BY_GLIBC.contains(theirs.getLong(at))) {
            theirs.putLong(at + 8, theirs.getLong(at + 8) - bias);
          }
        }
      }
    }
  }

  private static byte[] bytes(Linked linked, long address, int length) {
    byte[] bytes = new byte[length];
    for (LinkedSegment segment : linked.segments()) {
      for (int i = 0; i < segment.bytes().length(); i++) {
        long at = segment.address() + i - address;
        if (at >= 0 && at < length) {
          bytes[(int) at] = (byte) segment.bytes().at(i);
        }
      }
    }
    return bytes;
  }

  @Test
  void relroComesOutReadOnly() throws Exception {
    Path file = object("gcc", "object.c", C, "-O2 -fPIC -Wl,-z,now,-z,relro");
    PatchObject parsed = PatchObject.parse(file.toString(), Files.readAllBytes(file));
    try (Dlopened process = Dlopened.start(Dlopened.target(directory), file)) {
      Linked linked = Linker.link(parsed, 0x5555_0000_0000L, process.scope());
      assertThat(linked.segments().stream().map(LinkedSegment::protection))
          .endsWith(Protection.READ, Protection.READ_WRITE);
      assertThat(linked.segments().stream().map(LinkedSegment::protection))
          .contains(Protection.READ_EXECUTE);
    }
  }
}
