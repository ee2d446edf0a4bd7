package io.github.textpoke.x86.detour;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.plan.Entrances;
import io.github.textpoke.x86.plan.RseqSections;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Makes detours in one process:
 *
 * <pre>{@code
 * Detour detour = Detours.in(process).at("libc:fsync").to(replacement);
 * detour.revert();
 * }</pre>
 *
 * <p>It reads each object once, and keeps what it has found. Not thread-safe.
 */
public final class Detours {
  /** {@code endbr64}: SDM vol. 2. */
  private static final CodeBytes ENDBR64 = CodeBytes.ofHex("f30f1efa");

  private static final int JUMP_OPCODE = 0xe9;

  private final TargetProcess process;
  private final X86Planner planner;
  private final Map<ElfImage, Entrances> entrances = new HashMap<>();

  private Detours(TargetProcess process, X86Planner planner) {
    this.process = process;
    this.planner = planner;
  }

  /**
   * Those of {@code process}.
   *
   * @param process stays yours to close
   */
  public static Detours in(TargetProcess process) {
    return in(process, X86Planner.create());
  }

  /**
   * Those of {@code process}, planned by {@code planner}.
   *
   * @param process stays yours to close
   * @param planner is ours from now on
   */
  public static Detours in(TargetProcess process, X86Planner planner) {
    return new Detours(process, planner);
  }

  /**
   * The function that begins at a site.
   *
   * @param site {@code 0xADDR} or {@code [object:]symbol[#n]}
   * @throws PatchException if there is no such function, or its object can't be read
   */
  public DetourSite at(String site) {
    return new DetourSite(this, site, entry(site));
  }

  private Entry entry(String site) {
    CodeRegion code = process.code(site);
    if (process.address(site) != code.address()) {
      throw new BadSiteException(
          site, "a detour stands at a function's entry, that of " + code.name());
    }
    ImageInMemory object = process.resolver().objectAt(code.address());
    long first = code.address() + (startsWith(code, ENDBR64) ? ENDBR64.length() : 0);
    return new Entry(
        code,
        first,
        object,
        entrances.computeIfAbsent(
            object.image(), image -> Entrances.of(image, object.symbols(), object.bias())),
        jumpOfOurs(code, first));
  }

  private static boolean startsWith(CodeRegion code, CodeBytes bytes) {
    return code.bytes().length() >= bytes.length()
        && code.bytes().slice(0, bytes.length()).equals(bytes);
  }

  /** Where a jump that a patch of ours has put there leads. */
  private static OptionalLong jumpOfOurs(CodeRegion code, long site) {
    boolean isOurs = code.originals().stream().anyMatch(patched -> patched.address() == site);
    int at = (int) (site - code.address());
    if (!isOurs
        || code.bytes().length() < at + Entry.JUMP_LENGTH
        || code.bytes().at(at) != JUMP_OPCODE) {
      return OptionalLong.empty();
    }
    int displacement = 0;
    for (int i = Entry.JUMP_LENGTH - 1; i > 0; i--) {
      displacement = displacement << 8 | code.bytes().at(at + i);
    }
    return OptionalLong.of(site + Entry.JUMP_LENGTH + displacement);
  }

  /** Where the target's threads find their errno. */
  long errnoLocation() {
    return process.address("__errno_location");
  }

  Detour apply(String site, Entry entry, Destination destination, String label) {
    X86Planner knowing =
        planner.withRseq(RseqSections.of(entry.object().image(), entry.object().bias()));
    if (process.hasShadowStacks()) {
      knowing = knowing.withShadowStacks();
    }
    DetourPatch detour = new DetourPatch(process.pid(), knowing, entry(site), destination);
    Patch patch = process.apply(detour, label);
    return new Detour(patch, detour.original());
  }
}
