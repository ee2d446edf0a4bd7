package io.github.textpoke.x86.decode;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Undecodable;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/**
 * The two decoders against each other. Length, flow, target and RIP-relative field must agree
 * wherever both decode. Where libZydis itself decodes and the table refuses, the class stands in
 * {@link #CLASSES}, with its reason; the other way round there is none.
 */
@RequiresZydis
class DecoderDifferentialTest {
  private static final int STRINGS = Boolean.getBoolean("soak") ? 10_000_000 : 2_000_000;
  private static final int SHOWN = 20;

  /** ISA sets of Zydis 4.1 that 4.0 lacks; the table follows 4.0. */
  private static final ImmutableSet<String> NEWER_THAN_4_0 =
      ImmutableSet.of(
          "AMX_COMPLEX",
          "AMX_FP16",
          "AVX_IFMA",
          "AVX_NE_CONVERT",
          "AVX_VNNI_INT16",
          "AVX_VNNI_INT8",
          "CMPCCXADD",
          "FRED",
          "ICACHE_PREFETCH",
          "LKGS",
          "MSRLIST",
          "PBNDKB",
          "RAO_INT",
          "SHA512",
          "SM3",
          "SM4",
          "TSE",
          "USER_MSR",
          "WRMSRNS");

  /**
   * A class of bytes that libZydis decodes and the table does not.
   *
   * @param reason the table's
   * @param isaSets Zydis' names for it, each a prefix; none: any
   * @param mustOccur whether random bytes show it with Zydis 4.0
   * @param why the table refuses
   */
  private record Difference(
      String name, Undecodable reason, Set<String> isaSets, boolean mustOccur, String why) {
    boolean covers(Undecodable found, String isaSet) {
      return found == reason
          && (isaSets.isEmpty() || isaSets.stream().anyMatch(isaSet::startsWith));
    }
  }

  private static final ImmutableList<Difference> CLASSES =
      ImmutableList.of(
          new Difference(
              "MVEX",
              Undecodable.DROPPED_EXTENSION,
              Set.of("KNC"),
              true,
              "Xeon Phi KNC alone had it; #UD on servers"),
          new Difference(
              "KNC behind VEX",
              Undecodable.UNKNOWN,
              Set.of("KNC"),
              true,
              "jkzd, kconcat, VEX lzcnt: Xeon Phi KNC alone had them; #UD on servers"),
          new Difference(
              "XOP",
              Undecodable.DROPPED_EXTENSION,
              Set.of("XOP", "TBM", "LWP"),
              true,
              "AMD dropped it with Zen, Intel never had it"),
          new Difference(
              "3DNow!",
              Undecodable.UNKNOWN,
              Set.of("AMD3DNOW"),
              true,
              "AMD dropped it in 2010, Intel never had it"),
          new Difference(
              "PadLock", Undecodable.UNKNOWN, Set.of("PADLOCK"), true, "VIA and Zhaoxin alone"),
          new Difference(
              "near branch with 66",
              Undecodable.LENGTH_DEPENDS_ON_CPU,
              Set.of(),
              true,
              "AMD reads 16 bits of displacement or of the target, Intel ignores the prefix"),
          new Difference(
              "RIP-relative with 67",
              Undecodable.EIP_RELATIVE,
              Set.of(),
              true,
              "the address is cut to 32 bits"),
          new Difference(
              "newer than Zydis 4.0",
              Undecodable.UNKNOWN,
              NEWER_THAN_4_0,
              false,
              "the table has no rows for it yet, and refusing is safe"));

  private final TableDecoder table = new TableDecoder();
  private final ZydisDecoder zydis = new ZydisDecoder();
  private final WitnessedDecoder both = new WitnessedDecoder(table, zydis);
  private final List<String> failures = new ArrayList<>();
  private final Set<Difference> seen = new HashSet<>();
  private int decoded;

  @Test
  void agreeOnEveryInstructionOfLibc() {
    sweep(SampleText.libc());
  }

  @Test
  void agreeOnEveryInstructionOfLibjvm() {
    sweep(SampleText.libjvm());
  }

  @Test
  void agreeOnUniformRandomBytes() {
    strings(new RandomCode(1)::uniform);
  }

  @Test
  void agreeOnPrefixHeavyRandomBytes() {
    strings(new RandomCode(2)::prefixHeavy);
    assertThat(CLASSES).filteredOn(Difference::mustOccur).allMatch(seen::contains);
  }

  /** Compilers' code: both must decode all of it, with every flag the same. */
  private void sweep(CodeRegion code) {
    for (int at = 0; at < code.bytes().length(); ) {
      long one = table.decode(code, at);
      if (one != zydis.decode(code, at)) {
        fail(code, at, "differ");
      } else if (!Decoded.isDecoded(one)) {
        fail(code, at, "refused");
      }
      at += Math.max(1, Decoded.length(one));
      decoded++;
    }
    assertThat(failures).isEmpty();
    assertThat(decoded).isGreaterThan(100_000);
  }

  private void strings(Supplier<CodeRegion> regions) {
    Map<Undecodable, Integer> refusals = new EnumMap<>(Undecodable.class);
    for (int done = 0; done < STRINGS; done += RandomCode.STRINGS) {
      CodeRegion code = regions.get();
      for (int i = 0; i < RandomCode.STRINGS; i++) {
        int at = i * RandomCode.STRIDE;
        long one = table.decode(code, at);
        compare(code, at, one, zydis.decode(code, at));
        if (Decoded.isDecoded(one)) {
          decoded++;
        } else {
          refusals.merge(Decoded.reason(one), 1, Integer::sum);
        }
      }
    }
    assertThat(failures).isEmpty();
    assertThat(decoded).isGreaterThan(STRINGS / 4);
    assertThat(refusals).containsKey(Undecodable.UNKNOWN);
  }

  private void compare(CodeRegion code, int at, long one, long other) {
    if (Decoded.isDecoded(one)) {
      if (((one ^ other) & Decoded.WITNESSED) != 0) {
        fail(code, at, "differ");
      }
      return;
    }
    String isaSet = zydis.isaSet(code, at);
    if (isaSet == null) {
      return; // both refuse
    }
    Difference difference =
        CLASSES.stream()
            .filter(candidate -> candidate.covers(Decoded.reason(one), isaSet))
            .findFirst()
            .orElse(null);
    if (difference == null) {
      fail(code, at, "no class for " + isaSet);
    } else {
      seen.add(difference);
      if (difference.mustOccur() && Decoded.isDecoded(other)) {
        fail(code, at, "the binding decodes the class " + difference.name());
      }
    }
  }

  private void fail(CodeRegion code, int at, String how) {
    if (failures.size() < SHOWN) {
      failures.add(
          "%s at 0x%x: %s: %s"
              .formatted(
                  code.bytes().slice(at, Math.min(at + 15, code.bytes().length())),
                  code.address() + at,
                  how,
                  both.readings(code, at)));
    }
  }
}
