package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcStatus;
import java.nio.charset.StandardCharsets;

/** Who holds a target by a poker: its session says it, and lies in the target. */
final class Holder {
  private Holder() {}

  /** As {@code traced}, but names whom the poker that traces the target works for. */
  static AlreadyTracedException named(int pid, AlreadyTracedException traced) {
    try (ProcMem memory = TargetMemory.open(pid)) {
      for (Mapping mapping : MemoryMap.read(pid).mappings()) {
        if (mapping.path().equals("/memfd:" + PokerStart.SESSION) && works(memory, mapping)) {
          ProcStatus status = ProcStatus.read(pid);
          AlreadyTracedException named =
              new AlreadyTracedException(
                  pid,
                  status == null ? 0 : status.tracer(),
                  "the poker of " + who(memory, mapping));
          named.addSuppressed(traced);
          return named;
        }
      }
    }
    return traced;
  }

  private static boolean works(ProcMem memory, Mapping session) {
    CodeBytes poker = memory.read(session.start() + SessionLayout.POKER, Integer.BYTES);
    return poker != null && !poker.equals(CodeBytes.filled(Integer.BYTES, 0));
  }

  private static String who(ProcMem memory, Mapping session) {
    CodeBytes text = memory.read(session.start() + SessionLayout.WHO, SessionLayout.WHO_SIZE);
    String who = text == null ? "" : new String(text.toByteArray(), StandardCharsets.UTF_8);
    int end = who.indexOf('\0');
    return end < 0 ? who : who.substring(0, end);
  }
}
