package io.github.textpoke.x86.link;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.elf.Relocation;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.link.LinkedSegment.Protection;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Links objects without a process, against symbols that the tests make up. */
final class LinkerTest {
  private static final long BASE = 0x7000_0000_0000L;
  private static final String ALONE = "-O1 -fPIC -nostdlib";

  @TempDir Path directory;

  private final FakeScope scope = new FakeScope();

  private PatchObject object(String name, String source, String flags) throws Exception {
    Files.writeString(directory.resolve(name), source);
    List<String> command = new ArrayList<>(List.of("gcc", "-shared", "-o", "new.so", name));
    command.addAll(Arrays.asList(flags.split(" ")));
    Compiled.output(directory, command);
    return parse();
  }

  private PatchObject object(String source) throws Exception {
    return object("new.c", source, ALONE);
  }

  private PatchObject parse() throws Exception {
    return PatchObject.parse("new.so", Files.readAllBytes(directory.resolve("new.so")));
  }

  private Linked link(PatchObject object) {
    return Linker.link(object, BASE, scope);
  }

  private static long word(Linked linked, long address) {
    return ByteBuffer.wrap(bytes(linked, address, 8)).order(ByteOrder.LITTLE_ENDIAN).getLong();
  }

  private static byte[] bytes(Linked linked, long address, int length) {
    LinkedSegment pages =
        linked.segments().stream()
            .filter(p -> address >= p.address() && address < p.end())
            .findFirst()
            .orElseThrow();
    int from = (int) (address - pages.address());
    return pages.bytes().slice(from, from + length).toByteArray();
  }

  private void assertRefused(PatchObject object, String reason, String remedy) {
    assertThatExceptionOfType(ObjectRefusedException.class)
        .isThrownBy(() -> link(object))
        .withMessageContaining(reason)
        .satisfies(refused -> assertThat(refused.remedy()).contains(remedy));
  }

  /** The same object with another type in its first relocation of type {@code from}. */
  private PatchObject withType(PatchObject object, int from, int to) throws Exception {
    Relocation wanted =
        object.relocations().stream().filter(r -> r.type() == from).findFirst().orElseThrow();
    byte[] file = Files.readAllBytes(directory.resolve("new.so"));
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    long info = (long) wanted.symbol() << 32 | from;
    int changed = 0;
    for (int at = 0; at + 24 <= file.length; at += 8) {
      if (bytes.getLong(at) == wanted.place()
          && bytes.getLong(at + 8) == info
          && bytes.getLong(at + 16) == wanted.addend()) {
        bytes.putInt(at + 8, to);
        changed++;
      }
    }
    assertThat(changed).isOne();
    return PatchObject.parse("new.so", file);
  }

  @Test
  void bindsTheObjectsOwnSymbolsToItselfEvenWhereTheTargetHasThem() throws Exception {
    scope.with("replaced", 0x1000);
    PatchObject object =
        object("int replaced(void) { return 1; } int (*pointer)(void) = replaced;");
    Linked linked = link(object);
    assertThat(word(linked, linked.address("pointer"))).isEqualTo(linked.address("replaced"));
    assertThat(linked.functions())
        .containsExactly(new LinkedFunction("replaced", linked.address("replaced"), 6));
    assertThat(linked.base()).isEqualTo(BASE);
  }

  @Test
  void bindsAVariableOfWhichAProcessMayHaveOnlyOneToTheTargets() throws Exception {
    String source =
        """
        template <class T> struct Once { static T value; };
        template <class T> T Once<T>::value = T(1);
        extern "C" { int *pointer = &Once<int>::value; }
        """;
    PatchObject object = object("new.cc", source, ALONE);
    Linked linked = link(object);
    assertThat(word(linked, linked.address("pointer")))
        .isEqualTo(linked.address("_ZN4OnceIiE5valueE"));
    scope.with("_ZN4OnceIiE5valueE", 0x4242);
    linked = link(object);
    assertThat(word(linked, linked.address("pointer"))).isEqualTo(0x4242);
  }

  @Test
  void namesAllMissingSymbolsAtOnce() throws Exception {
    PatchObject object =
        object(
            """
            extern int one(void), two(void);
            extern int three __asm__("textpoke$server$three$0");
            extern int absent(void) __attribute__((weak));
            int *pointer = &three;
            int (*weak)(void) = absent;
            int f(void) { return one() + two(); }
            """);
    assertThatExceptionOfType(NoSuchSymbolException.class)
        .isThrownBy(() -> link(object))
        .withMessageContaining("no symbol 'one', 'textpoke$server$three$0', 'two' in fake")
        .withMessageContaining("fake remedy");
    scope.with("one", 0x1001).with("two", 0x1002).with("textpoke$server$three$0", 0x1003);
    Linked linked = link(object);
    assertThat(word(linked, linked.address("pointer"))).isEqualTo(0x1003);
    assertThat(word(linked, linked.address("weak"))).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", " -fno-plt", " -O0", " -masm=intel", " -O2 -fuse-ld=gold"})
  void asksForSymbolsOfTheTargetThatAreStaticThere(String flags) throws Exception {
    String source =
        """
        extern int helper(int) __asm__("textpoke$server$helper$2");
        extern int part(void) __asm__("textpoke$$helper.part.0$0");
        extern int data __asm__("textpoke$libc.so.6$state$0");
        extern int optional(void) __asm__("textpoke$libx$optional$0") __attribute__((weak));
        int (*pointers[])(int) = {helper};
        int (*none)(void) = optional;
        int f(void) { return helper(data) + part(); }
        """;
    scope.with("textpoke$server$helper$2", 0x2222);
    scope.with("textpoke$$helper.part.0$0", 0x3333);
    scope.with("textpoke$libc.so.6$state$0", 0x4444);
    PatchObject object = object("new.c", source, ALONE + flags);
    Linked linked = link(object);
    assertThat(word(linked, linked.address("pointers"))).isEqualTo(0x2222);
    assertThat(word(linked, linked.address("none"))).isZero();
    // Through the linkage table, or the table of addresses.
    assertThat(
            object.relocations().stream()
                .filter(r -> r.type() == 6 || r.type() == 7)
                .map(r -> word(linked, r.place() + linked.bias())))
        .contains(0x2222L, 0x3333L, 0x4444L);
  }

  @Test
  void refusesALocalNameThatIsIllWritten() throws Exception {
    PatchObject object =
        object("extern int x(void) __asm__(\"textpoke$helper\"); int f(void) { return x(); }");
    assertRefused(object, "'textpoke$helper' names no symbol", "textpoke$OBJECT$NAME$POSITION");
  }

  @Test
  void leavesResolversOfIfuncsToTheTarget() throws Exception {
    PatchObject object =
        object(
            """
            extern int theirs(void);
            static int fast(void) { return 1; }
            static void *resolve(void) { return (void *) fast; }
            int ours(void) __attribute__((ifunc("resolve")));
            static int hidden(void) __attribute__((ifunc("resolve")));
            int (*pointers[])(void) = {theirs, ours};
            int (*in_object)(void) = hidden;
            """);
    scope.withResolver("theirs", 0x9999);
    Linked linked = link(object);
    long pointers = linked.address("pointers");
    assertThat(linked.pendingCalls())
        .containsExactlyInAnyOrder(
            new PendingCall(pointers, 0x9999, 0),
            new PendingCall(pointers + 8, linked.address("resolve"), 0),
            new PendingCall(linked.address("in_object"), linked.address("resolve"), 0));
    assertThat(word(linked, pointers)).isZero();
    assertThat(linked.functions()).isEmpty();
  }

  @Test
  void listsFunctionsToRunInTheOrderInWhichTheyAreToRun() throws Exception {
    Linked linked =
        link(
            object(
                "new.c",
                """
                void start(void) {}
                void end(void) {}
                __attribute__((constructor(102))) void second(void) {}
                __attribute__((constructor(101))) void first(void) {}
                __attribute__((destructor(101))) void last(void) {}
                __attribute__((destructor(102))) void before(void) {}
                """,
                ALONE + " -Wl,-init,start,-fini,end"));
    assertThat(linked.initializers())
        .containsExactly(
            linked.address("start"), linked.address("first"), linked.address("second"));
    assertThat(linked.finalizers())
        .containsExactly(linked.address("before"), linked.address("last"), linked.address("end"));
  }

  @ParameterizedTest
  @CsvSource({
    "-ftls-model=global-dynamic,__thread int own; int f(void) { return own++; }",
    "-ftls-model=local-dynamic,static __thread int own; int f(void) { return own++; }",
    "-ftls-model=initial-exec,__thread int own; int f(void) { return own++; }",
    "-ftls-model=initial-exec,static __thread int own; int f(void) { return own++; }",
    "-mtls-dialect=gnu2,__thread int own; int f(void) { return own++; }",
  })
  void refusesThreadLocalVariablesOfTheObjectItself(String flags, String source) throws Exception {
    scope.with("__tls_get_addr", 0x1234);
    assertRefused(
        object("new.c", source, ALONE + " " + flags),
        "a thread-local variable of its own",
        "pthread_getspecific");
  }

  @Test
  void readsThreadLocalVariablesOfTheTargetThatLieAtAKnownOffset() throws Exception {
    String source = "extern __thread int theirs; int f(void) { return theirs; }";
    PatchObject initialExec = object("new.c", source, ALONE + " -ftls-model=initial-exec");
    scope.withThreadLocal("theirs", OptionalLong.of(-64));
    long place = initialExec.relocations().get(0).place();
    assertThat(initialExec.relocations()).hasSize(1);
    Linked linked = link(initialExec);
    assertThat(word(linked, place + linked.bias())).isEqualTo(-64);
    scope.withThreadLocal("theirs", OptionalLong.empty());
    assertRefused(initialExec, "where each thread keeps 'theirs' of fake is not known", "function");
    scope.with("__tls_get_addr", 0x1234).withThreadLocal("theirs", OptionalLong.of(-64));
    assertRefused(
        object("new.c", source, ALONE), "its module's number", "-ftls-model=initial-exec");
  }

  @Test
  void refusesTextRelocations() throws Exception {
    String source =
        ".text\n.globl f\n.type f, @function\nf: movabs $outside, %rax\nret\n"
            + ".section .note.GNU-stack\n";
    assertRefused(object("new.s", source, "-nostdlib -Wl,-z,notext"), "text relocations", "-fPIC");
  }

  @Test
  void refusesMemoryThatIsWritableAndExecutable() throws Exception {
    String source =
        ".section .both, \"awx\"\n.globl f\n.type f, @function\nf: ret\n.section .note.GNU-stack\n";
    assertRefused(object("new.s", source, "-nostdlib"), "writable and executable", "section");
  }

  @Test
  void refusesExecutableStacks() throws Exception {
    assertRefused(
        object("new.c", "int f(void) { return 1; }", ALONE + " -Wl,-z,execstack"),
        "executable stacks",
        "-z noexecstack");
  }

  @ParameterizedTest
  @CsvSource({"5, copy relocation", "3, type 3", "26, type 26", "39, type 39", "9999, type 9999"})
  void refusesRelocationsThatNoSharedObjectHolds(int type, String reason) throws Exception {
    scope.with("outside", 0x1000);
    PatchObject object = object("extern int outside; int *pointer = &outside;");
    assertRefused(withType(object, 1, type), reason, "-fPIC");
  }

  @ParameterizedTest
  // R_X86_64_32, 32S, PC32, PLT32: which values fit.
  @CsvSource({
    "10, 0xffffffff, true", "10, 0x100000000, false", "10, -1, false",
    "11, 0x7fffffff, true", "11, 0x80000000, false", "11, -2147483648, true",
    "2, 0x70007fff0000, true", "2, 0x700080010000, false", "2, 0x6fff80010000, true",
    "4, 0x6fff7fff0000, false"
  })
  void writes32BitsWhereTheValueFits(int type, String address, boolean fits) throws Exception {
    long value = Long.decode(address);
    scope.with("outside", value);
    PatchObject object =
        withType(object("extern int outside; int *pointers[] = {&outside, (int *) -1};"), 1, type);
    if (!fits) {
      assertRefused(object, "does not fit into 32 bits", "64 bits");
      return;
    }
    Linked linked = link(object);
    long place = linked.address("pointers");
    int expected = (int) (type == 2 ? value - place : value);
    assertThat(bytes(linked, place, 8))
        .isEqualTo(
            ByteBuffer.allocate(8)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(expected)
                .putInt(0)
                .array());
  }

  @Test
  void writesTheSizeOfASymbol() throws Exception {
    scope.with("outside", 0x1000);
    PatchObject object = object("extern int outside; int *pointers[] = {&outside};");
    Linked linked = link(withType(object, 1, 33));
    assertThat(word(linked, linked.address("pointers"))).isEqualTo(0x30);
  }

  @Test
  void segmentsAreWholePagesInOrderOfWhichNoneIsWritableAndExecutable() throws Exception {
    Linked linked =
        link(
            object(
                "new.c",
                "static char zeros[100000]; int data = 1; char *p = zeros; char f(int i) {"
                    + " return zeros[i]++ + (char) data++; }",
                ALONE + " -Wl,-z,now,-z,relro"));
    long end = BASE;
    for (LinkedSegment segment : linked.segments()) {
      assertThat(segment.address() % 4096 | segment.size() % 4096).isZero();
      assertThat(segment.address()).isGreaterThanOrEqualTo(end);
      end = segment.end();
    }
    assertThat(end).isEqualTo(BASE + linked.object().size());
    assertThat(linked.segments().stream().map(LinkedSegment::protection))
        .contains(Protection.READ_EXECUTE)
        .endsWith(Protection.READ, Protection.READ_WRITE);
    LinkedSegment last = linked.segments().get(linked.segments().size() - 1);
    // Zeros take no bytes.
    assertThat(last.size()).isGreaterThan(100_000);
    assertThat(last.bytes().length()).isLessThan(8192);
  }

  @Test
  void saysWhereUnwindInformationStandsAndWhetherItHasAnEnd() throws Exception {
    String source = "int f(void) { return 1; }";
    Linked without = link(object("new.c", source, ALONE));
    assertThat(without.ehFrame().orElseThrow().isTerminated()).isFalse();
    Linked with = link(object("new.c", source, "-O1 -fPIC"));
    FrameTable frames = with.ehFrame().orElseThrow();
    assertThat(frames.isTerminated()).isTrue();
    byte[] table = bytes(with, frames.start(), (int) (frames.end() - frames.start()));
    assertThat(CodeBytes.of(table).slice(table.length - 4, table.length).hex())
        .isEqualTo("00 00 00 00");
    // The identifier of the first entry: it is a CIE.
    assertThat(CodeBytes.of(table).slice(4, 8).hex()).isEqualTo("00 00 00 00");
    assertThat(link(object("new.c", source, ALONE + " -fno-asynchronous-unwind-tables")).ehFrame())
        .isEmpty();
  }

  @Test
  void findsLocalSymbolsOfTheObjectAndSaysWhichAreAmbiguous() throws Exception {
    Files.writeString(
        directory.resolve("more.c"),
        "static int twin = 2; static int only = 3; int *q[] = {&twin, &only};");
    Linked linked =
        link(object("new.c", "static int twin = 1; int *p = &twin;", ALONE + " more.c"));
    assertThat(word(linked, linked.address("q") + 8)).isEqualTo(linked.address("only"));
    assertThatExceptionOfType(AmbiguousSymbolException.class)
        .isThrownBy(() -> linked.address("twin"))
        .withMessageContaining("2 match");
    assertThatExceptionOfType(NoSuchSymbolException.class)
        .isThrownBy(() -> linked.address("nothing"));
  }

  @Test
  void readsTheDescriptionOutOfASection() throws Exception {
    assertThat(object("int x;").spec()).isEmpty();
    assertThat(
            object(
                    "__attribute__((section(\".textpoke\"), used))"
                        + " static const char spec[] = \"{\\\"a\\\": \\\"ü\\\"}\";")
                .spec())
        .hasValue("{\"a\": \"ü\"}");
    object("int x;");
    Files.writeString(directory.resolve("spec.json"), "{\n}\n");
    Compiled.output(
        directory,
        List.of(
            "objcopy",
            "--add-section",
            ".textpoke=spec.json",
            "--set-section-flags",
            ".textpoke=noload,readonly",
            "new.so"));
    assertThat(parse().spec()).hasValue("{\n}\n");
    assertThatExceptionOfType(BadObjectException.class)
        .isThrownBy(
            () ->
                object(
                    "__attribute__((section(\".textpoke\"), used))"
                        + " static const char spec[] = \"\\xff\\xfe\";"))
        .withMessageContaining("no UTF-8");
  }

  @Test
  void readsWhatAnObjectSaysOfItself() throws Exception {
    PatchObject object =
        object(
            "new.c",
            "int puts(const char *); int f(void) { return puts(\"\"); }",
            "-fPIC -Wl,--build-id=0xabcdef");
    assertThat(object.buildId()).hasValue("abcdef");
    assertThat(object.needed()).containsExactly("libc.so.6");
    assertThat(object.start()).isZero();
    assertThat(object.name()).isEqualTo("new.so");
  }

  @Test
  void refusesAProgramInsteadOfASharedObject() throws Exception {
    Files.writeString(directory.resolve("main.c"), "int main(void) { return 0; }");
    Compiled.output(directory, List.of("gcc", "-no-pie", "-o", "new.so", "main.c"));
    assertThatExceptionOfType(BadObjectException.class)
        .isThrownBy(this::parse)
        .withMessageContaining("-shared");
  }
}
