package io.github.textpoke.x86.plan;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.elf.AddressLinks;
import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LandingPads;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Relocations;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.x86.flow.ExitSearch;
import io.github.textpoke.x86.flow.FunctionExits;
import io.github.textpoke.x86.flow.JumpTables;
import io.github.textpoke.x86.flow.ObjectSweep;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Who may enter a run of instructions of an object behind its first byte: the question of rule 7,
 * before several instructions are displaced by one. It looks at
 *
 * <ol>
 *   <li>the function itself, which must be decoded whole and be what the file holds: its direct
 *       branches, calls and xbegins; its indirect jumps, each through a jump table that is read, or
 *       to a pointer in memory that the function can't have computed; the addresses that it takes;
 *       ENDBR64 in the run; calls that return into it;
 *   <li>the rest of the object ({@link ObjectSweep}): branches, jump tables and addresses taken
 *       that lead behind the start of the function;
 *   <li>what the loader writes: pointers to code (relocations). An object linked for a fixed
 *       address has none; there, 4 bytes anywhere that hold an address of the run count;
 *   <li>unwind information: landing pads, starts and ends of functions and of split parts;
 *   <li>symbols of any type, the object's entry point, restartable sequences, and the entry points
 *       that {@link CodeRegion#entryPoints} names.
 * </ol>
 *
 * <p>Assumes that nobody computes an address of code in other ways than these, and that an indirect
 * jump of another function leads to where some function starts, or where something of the above
 * leads; so jump compilers' code, and the assembly of C libraries. Other objects know no addresses
 * in the middle of this one's functions. It does not see threads that stand inside already: that is
 * rule 10.
 *
 * <p>Immutable and thread-safe. Making one reads the whole object; keep it as long as the object is
 * mapped.
 */
public final class Entrances {
  /**
   * That nobody enters {@code [from + 1, to)}, and what was looked at to know it.
   *
   * @param from absolute address of the first instruction
   * @param to absolute address behind the last one
   * @param instructions of the function
   * @param tableEntries of jump tables of the function
   * @param outside ways that lead behind the function's start from elsewhere
   */
  public record Unentered(long from, long to, int instructions, int tableEntries, int outside) {}

  /**
   * What leads inside a run from another function.
   *
   * @param source absolute address of what leads there
   * @param target absolute, behind the first byte of the run, or in an instruction before it
   * @param function absolute address where the function begins that holds the source
   * @param refusal of the run, unless that function is displaced together with it
   */
  record Entrant(long source, long target, long function, PlanRefusedException refusal) {}

  /**
   * What was found of a run that nobody enters, but {@code entrants}.
   *
   * @param unentered what is proved if these are displaced, too
   */
  record Entered(Unentered unentered, ImmutableList<Entrant> entrants) {}

  private final ElfImage image;
  private final Symbols symbols;
  private final long[] names;
  private final long bias;
  private final RseqSections rseq;
  private final LoadedBytes loaded;
  private final EhFrame frames;
  private final LandingPads pads;
  private final AddressLinks pointers;
  private final ObjectSweep sweep;
  private final ExitSearch exitSearch;

  private Entrances(ElfImage image, Symbols symbols, long bias, RseqSections rseq) {
    this.image = image;
    this.symbols = symbols;
    this.names = symbols.addresses().toArray();
    this.bias = bias;
    this.rseq = rseq;
    this.loaded = LoadedBytes.of(image);
    this.frames = EhFrame.of(image);
    this.pads = LandingPads.of(image);
    this.pointers = Relocations.pointersToCode(image);
    this.sweep = ObjectSweep.of(image);
    this.exitSearch = new ExitSearch(image, loaded, symbols, pointers, sweep);
  }

  /**
   * Those of an object.
   *
   * @param image the object
   * @param symbols of the object, with those of its debug file where there is one
   * @param bias what to add to a link-time address for an absolute one
   * @throws BadObjectException if the object is malformed
   */
  public static Entrances of(ElfImage image, Symbols symbols, long bias) {
    return new Entrances(image, symbols, bias, RseqSections.of(image, bias));
  }

  /**
   * Proves that nobody enters the instructions that hold the bytes from {@code site} on behind the
   * first byte.
   *
   * @param decoder reads the function; stays yours
   * @param function that holds them, as it stands now
   * @param site absolute address of the first instruction
   * @param length bytes that are needed; the last instruction counts whole
   * @throws PlanRefusedException by rule 7, with the address and the disassembly of who enters; by
   *     rule 1 if {@code site} is no boundary, 8 if a call would return there, 9 if the function
   *     ends before, 16 if it is in a restartable sequence
   */
  public Unentered check(InstructionDecoder decoder, CodeRegion function, long site, int length) {
    Entered entered = look(decoder, function, site, length);
    if (!entered.entrants().isEmpty()) {
      throw entered.entrants().get(0).refusal();
    }
    return entered.unentered();
  }

  /**
   * As {@link #check}, but for other functions that lead inside: these are found and not refused.
   */
  Entered look(InstructionDecoder decoder, CodeRegion function, long site, int length) {
    return look(decoder, function, site, length, function.end());
  }

  /**
   * As {@link #look(InstructionDecoder, CodeRegion, long, int)}.
   *
   * @param padding absolute address from which on there is only padding behind an exit, in which
   *     the function may end
   */
  Entered look(
      InstructionDecoder decoder, CodeRegion function, long site, int length, long padding) {
    Reading reading = new Reading(decoder, function);
    reading.boundary(site);
    EnteredRun run = EnteredRun.of(reading, site, length, bias);
    checkSameAsFile(reading.recovered());
    rseq.obstacle(site, run.absoluteEnd())
        .ifPresent(
            obstacle -> {
              throw Rules.RSEQ.refusal(
                  site, run.textAt(run.from()), obstacle, "choose a site outside of it");
            });
    OwnFunction own = new OwnFunction(run, new JumpTables(image, loaded), sweep::isStart);
    own.check();
    checkUnwinding(run, padding - bias);
    checkNames(run, function);
    checkPointers(run);
    List<Entrant> entrants = new ArrayList<>();
    int outside = checkOthers(run, own, entrants);
    return new Entered(
        new Unentered(site, run.absoluteEnd(), run.function().count(), own.tableEntries(), outside),
        ImmutableList.copyOf(entrants));
  }

  /**
   * By which instructions control leaves a function.
   *
   * @param decoder reads it; stays yours
   * @param function absolute, as it stands now
   * @return with link-time addresses, see {@link #bias}
   */
  FunctionExits exits(InstructionDecoder decoder, CodeRegion function) {
    CodeRegion code = function.recovered();
    checkSameAsFile(code);
    return exitSearch.of(decoder, CodeRegion.of(code.name(), code.address() - bias, code.bytes()));
  }

  /** What to add to a link-time address for an absolute one. */
  long bias() {
    return bias;
  }

  /**
   * A function with the no-operations that stand behind it before the next one, as far as the file
   * holds them.
   *
   * @param most bytes, at most
   */
  CodeRegion withPadding(InstructionDecoder decoder, CodeRegion function, int most) {
    long end = function.end() - bias;
    long next = sweep.startIn(end, end + most).orElse(end + most);
    int name = firstName(end);
    if (name < names.length) {
      next = Math.min(next, names[name]);
    }
    CodeBytes padding = loaded.bytes(end, next - end).orElse(CodeBytes.EMPTY);
    int length = 0;
    CodeRegion region = CodeRegion.of("padding", end, padding.concat(CodeBytes.of(0)));
    while (length < padding.length()) {
      long decoded = decoder.decode(region, length);
      if (!Decoded.isDecoded(decoded)
          || Decoded.flow(decoded) != Flow.NOP
          || length + Decoded.length(decoded) > padding.length()) {
        break;
      }
      length += Decoded.length(decoded);
    }
    return new CodeRegion(
        function.name(),
        function.address(),
        function.bytes().concat(padding.slice(0, length)),
        function.entryPoints(),
        function.originals(),
        function.backing());
  }

  /**
   * How many functions lead to {@code (site, site + length)}, of those that do not hold it
   * themselves. It is quick: no code is decoded.
   *
   * @param site absolute
   * @param length in bytes
   */
  public int functionsLeadingInside(long site, int length) {
    AddressLinks links = sweep.links();
    Set<Long> functions = new HashSet<>();
    for (int i = links.firstFrom(site - bias + 1);
        i < links.size() && links.target(i) < site - bias + length;
        i++) {
      sweep.functionAt(links.source(i)).ifPresent(range -> functions.add(range.start()));
    }
    return functions.size();
  }

  /** What the file does not hold can't have been read of the rest of the object either. */
  private void checkSameAsFile(CodeRegion code) {
    CodeBytes inFile =
        loaded
            .bytes(code.address() - bias, code.bytes().length())
            .orElseThrow(
                () ->
                    Rules.DISPLACING.refusal(
                        code.address(),
                        "",
                        "%s is not in %s, so nothing shows who leads there"
                            .formatted(code.name(), image.name()),
                        "give the object that holds the function, and its load bias"));
    for (int at = 0; at < inFile.length(); at++) {
      if (inFile.at(at) != code.bytes().at(at)) {
        throw Rules.DISPLACING.refusal(
            code.address() + at,
            "%02x".formatted(code.bytes().at(at)),
            "%s holds %02x there: somebody else has changed the function, and what leads where is"
                    .formatted(image.name(), inFile.at(at))
                + " not known",
            "remove the debugger or tool that wrote there");
      }
    }
  }

  private void checkUnwinding(EnteredRun run, long padding) {
    ImmutableLongArray inFunction = pads.in(run.functionStart(), run.to());
    for (int i = 0; i < inFunction.length(); i++) {
      if (run.isEnteredFrom(inFunction.get(i))) {
        throw run.enteredAt(inFunction.get(i), "an exception that is thrown is caught there");
      }
    }
    for (FunctionRange range : frames.startingIn(run.from() + 1, run.to())) {
      throw run.enteredAt(range.start(), "by .eh_frame a function, or a part of one, begins there");
    }
    for (FunctionRange range : frames.endingIn(run.from() + 1, Math.min(run.to(), padding))) {
      throw run.enteredAt(
          range.end(), "by .eh_frame a function ends there, and what follows is another");
    }
    sweep
        .startIn(run.from() + 1, run.to())
        .ifPresent(
            start -> {
              throw run.enteredAt(start, "a function begins there");
            });
  }

  private void checkNames(EnteredRun run, CodeRegion function) {
    for (int i = firstName(run.functionStart() + 1); i < names.length && names[i] < run.to(); i++) {
      if (run.isEnteredFrom(names[i])) {
        Symbol symbol = symbols.startingIn(names[i], names[i] + 1).get(0);
        throw run.enteredAt(names[i], "the symbol " + symbol.name() + " names it");
      }
    }
    if (run.isEnteredFrom(image.entry())) {
      throw run.enteredAt(image.entry(), "the program starts there");
    }
    for (long entry : function.entryPoints()) {
      if (run.isEnteredFrom(entry - bias)) {
        throw run.enteredAt(entry - bias, "it is known as an entry point");
      }
    }
  }

  /** Index of the first symbol's address from {@code address} on. */
  private int firstName(long address) {
    int found = Arrays.binarySearch(names, address);
    return found >= 0 ? found : -found - 1;
  }

  private void checkPointers(EnteredRun run) {
    for (int i = pointers.firstFrom(run.functionStart());
        i < pointers.size() && pointers.target(i) < run.to();
        i++) {
      if (run.isEnteredFrom(pointers.target(i))) {
        throw run.enteredAt(
            pointers.target(i),
            "the pointer at 0x%x leads there (a relocation)".formatted(pointers.source(i) + bias));
      }
    }
    if (image.isFixed()) {
      loaded
          .placeOfAddressIn(run.from() + 1, run.to())
          .ifPresent(
              place -> {
                throw run.enteredAt(
                    run.from() + 1,
                    "the 4 bytes at 0x%x hold an address behind the first byte"
                        .formatted(place + bias));
              });
    }
  }

  /**
   * The number of ways that lead into the function behind its start.
   *
   * @param entrants takes those that lead into the run
   */
  private int checkOthers(EnteredRun run, OwnFunction own, List<Entrant> entrants) {
    AddressLinks links = sweep.links();
    int outside = 0;
    for (int i = links.firstFrom(run.functionStart());
        i < links.size() && links.target(i) < run.functionEnd();
        i++) {
      long source = links.source(i);
      if (run.function().contains(source)) {
        continue; // looked at with the function's other instructions
      }
      outside++;
      if (run.isEnteredFrom(links.target(i))) {
        entrants.add(entrant(run, source, links.target(i)));
      }
      own.checkIsNoPart(source + bias);
      // Parts of one function jump behind each other's start, by tables too.
      sweep
          .functionAt(source)
          .flatMap(sweep::unresolvedIn)
          .ifPresent(
              jump -> {
                throw run.unknown(
                    jump,
                    text(run, jump),
                    "it is in the code that jumps behind the start of %s at 0x%x, and where it"
                            .formatted(run.name(), source + bias)
                        + " leads is not known");
              });
    }
    return outside;
  }

  private Entrant entrant(EnteredRun run, long source, long target) {
    PlanRefusedException refusal =
        run.entered(source, text(run, source), target, "from another function");
    FunctionRange function = sweep.functionAt(source).orElseThrow(() -> refusal);
    return new Entrant(source + bias, target + bias, function.start() + bias, refusal);
  }

  /** The instruction at a link-time address of the object, as the file holds it. */
  private String text(EnteredRun run, long address) {
    return loaded
        .instruction(address)
        .map(bytes -> Reading.text(run.decoder(), CodeRegion.of("", address + bias, bytes), 0))
        .orElse("");
  }
}
