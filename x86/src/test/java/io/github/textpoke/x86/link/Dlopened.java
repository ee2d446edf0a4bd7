package io.github.textpoke.x86.link;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.elf.SymbolScope;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.flow.Compiled;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A program that loads objects by {@code dlopen}, prints its addresses and waits: in {@code
 * target_loading}, to which the first constructor of an object may give an address in it, or when
 * all are loaded.
 */
final class Dlopened implements AutoCloseable {
  /** What the target exports, keeps to itself and has thread-local variables of. */
  static final String TARGET =
      """
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <link.h>
      #include <stdio.h>
      int target_counter = 7;
      long target_table[100];
      __thread int target_errno = 3;
      __thread char before_other[5];
      __thread long target_other __attribute__((aligned(64))) = 4;
      int target_add(int a, int b) { return a + b; }
      __attribute__((weak)) int target_weak(void) { return 1; }
      static __attribute__((noinline)) int helper(int a) { return a + 1; }
      static int state = 5;
      int other_state(void);
      int other_helper(int a);
      __attribute__((visibility("hidden"))) int hidden_global(void) { return 11; }
      static int chosen_fast(void) { return 2; }
      static void *resolve_chosen(void) { return (void *) chosen_fast; }
      int target_chosen(void) __attribute__((ifunc("resolve_chosen")));
      static char *thread_pointer(void) {
        char *p;
        __asm__("mov %%fs:0, %0" : "=r"(p));
        return p;
      }
      static void report(long base) {
        printf("base=0x%lx helper=%p state=%p errno=0x%lx other=0x%lx\\n", base, (void *) helper,
               (void *) &state, (long) ((char *) &target_errno - thread_pointer()),
               (long) ((char *) &target_other - thread_pointer()));
        fflush(stdout);
        getchar();
      }
      void target_loading(void *inside) {
        Dl_info info;
        dladdr(inside, &info);
        report((long) info.dli_fbase);
      }
      int main(int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
          void *handle = dlopen(argv[i], RTLD_NOW | (i < argc - 1 ? RTLD_GLOBAL : RTLD_LOCAL));
          if (!handle) return puts(dlerror()), 1;
        }
        report(0);
        return helper(state) + other_helper(other_state()) + target_chosen() > 100;
      }
      """;

  static final String OTHER =
      """
      static __attribute__((noinline)) int helper(int a) { return a + 2; }
      static int state = 6;
      int other_state(void) { return state++; }
      int other_helper(int a) { return helper(a); }
      """;

  private final Process process;
  private final ProcMemReader memory;
  private final Map<String, Long> words = new TreeMap<>();

  private Dlopened(Process process) throws IOException {
    this.process = process;
    BufferedReader output =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.US_ASCII));
    String line = output.readLine();
    assertThat(line).startsWith("base=");
    for (String word : line.split(" ")) {
      String[] parts = word.split("=0x");
      words.put(parts[0], Long.parseUnsignedLong(parts[1], 16));
    }
    this.memory = new ProcMemReader((int) process.pid());
  }

  /** Compiles the target. */
  static Path target(Path directory, String... flags) throws Exception {
    Files.writeString(directory.resolve("target.c"), TARGET);
    Files.writeString(directory.resolve("other.c"), OTHER);
    List<String> command = new ArrayList<>(List.of("gcc", "-O1", "-rdynamic", "-o", "target"));
    command.addAll(List.of(flags));
    command.addAll(List.of("-Wl,--build-id=sha1", "target.c", "other.c"));
    Compiled.output(directory, command);
    return directory.resolve("target");
  }

  /** Starts {@code program}, which loads {@code objects} one after the other. */
  static Dlopened start(Path program, Path... objects) throws IOException {
    List<String> command = new ArrayList<>(List.of(program.toString()));
    for (Path object : objects) {
      command.add(object.toString());
    }
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    try {
      return new Dlopened(process);
    } catch (Throwable e) {
      process.destroyForcibly();
      throw e;
    }
  }

  /** Where the object came to stand whose constructor said so; else 0. */
  long base() {
    return word("base");
  }

  /** What the program printed under that name. */
  long word(String name) {
    return words.get(name);
  }

  SymbolScope scope() {
    int pid = (int) process.pid();
    return new SiteResolver(pid, MemoryMap.read(pid), memory).scope();
  }

  MemoryMap map() {
    return MemoryMap.read((int) process.pid());
  }

  CodeBytes read(long address, int length) {
    return memory.read(address, length);
  }

  @Override
  public void close() {
    memory.close();
    process.destroyForcibly();
    process.onExit().join();
  }
}
