package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.fixtures.RequiresPtrace;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What other tools test, or were reported to fail at, done to displaced instructions of a running
 * program. "Failure N" is of the ten that their users report most. Their cases about the copy's
 * code are in {@code RelocationCase}, and failure 5, wrong relocation, in {@link ZooTest}.
 */
@RequiresPtrace
final class PeersCasesTest {
  /**
   * A row of the table.
   *
   * @param source where the case comes from
   * @param there what is done, or what happens, there
   * @param here what must hold here
   */
  private record PeersCase(String source, String there, String here, Check check) {
    @Override
    public String toString() {
      return source + ": " + there + "; here " + here;
    }
  }

  private interface Check {
    void run() throws Exception;
  }

  static ImmutableList<PeersCase> cases() {
    return ImmutableList.of(
        new PeersCase(
            "liteinst test_patch_parallel*.c, failure 1 (frida-gum#1060, a torn jump)",
            "threads run a function while it is patched, with a wait in place of a barrier",
            "no call has a wrong result",
            () -> PeersChecks.toggle("plain", 60, "--threads", "4")),
        new PeersCase(
            "liteinst test_patch_parallel*.c",
            "several threads patch at the same time",
            "each patch is whole, one after the other",
            PeersChecks::patchFromTwoThreads),
        new PeersCase(
            "liteinst straddler_roulette, torture_test",
            "the site lies across a cache line, at each offset",
            "64 sites, one for each offset, become jumps in one batch, and no result is wrong",
            PeersChecks::displaceAtEachOffsetOfALine),
        new PeersCase(
            "libpulp tests/pagecross",
            "the patched bytes lie on two pages",
            "no call has a wrong result",
            () -> PeersChecks.toggle("cross", 60, "--threads", "4")),
        new PeersCase(
            "libpulp tests/redzone, failure 6 (uprobes: a call pushes into the red zone)",
            "a leaf function has data below its stack pointer where it is patched",
            "the jump, its breakpoints and the copy leave the 128 bytes alone",
            PeersChecks::displaceInTheMiddleOfALeaf),
        new PeersCase(
            "libpulp tests/syscall_restart, failure 7 (libpulp#123: -512 leaks)",
            "a thread waits in a system call while it is patched",
            "the call goes on waiting, and returns what it was asked for, to the jump",
            PeersChecks::displaceBehindASystemCallThatWaits),
        new PeersCase(
            "failure 2 c (a thread in a system call inside)",
            "the system call is one of the patched instructions, and a thread waits in it",
            "rule 15 refuses it, and the thread goes on",
            PeersChecks::refuseASystemCallAmongTheInstructions),
        new PeersCase(
            "libpulp tests/deadlock and dlsym_lock, failure 7 (Orbit#3092, frida-gum#275)",
            "a thread holds the lock of malloc, or of the loader, while it is patched",
            "malloc and free themselves are displaced while threads fight for both locks",
            PeersChecks::displaceTheHeap),
        new PeersCase(
            "libcare tests/fail_busy_single and fail_busy_single_top",
            "the function never leaves the stack, so libcare gives up",
            "it is patched at once, and the call that is in it ends as it began",
            () -> PeersChecks.displaceABusyFunction(1)),
        new PeersCase(
            "libcare tests/fail_busy_threads",
            "some thread is always in the function",
            "it is patched at once while all are in it",
            () -> PeersChecks.displaceABusyFunction(8)),
        new PeersCase(
            "libcare tests/fail_unpatch, failure 8 (libcare#36)",
            "the new function is on a stack when it is to be removed",
            "it is reverted at once, and the calls that are in the new code end there",
            PeersChecks::revertWhileThreadsAreInTheNewCode),
        new PeersCase(
            "libcare tests/fail_coro and fail_coro_listed",
            "a coroutine that does not run is in the function, on a stack that nobody lists",
            "it comes back behind the displaced instructions, for only their last may be a call",
            () -> PeersChecks.displaceWhileSomeStayInACallee(4, "--fibers")),
        new PeersCase(
            "libcare tests/fail_threading, failure 9 (libcare attach)",
            "threads are born and end while it attaches",
            "no call has a wrong result, a newborn's neither",
            PeersChecks::displaceWhileThreadsAreBornAndEnd),
        new PeersCase(
            "failure 2 a (frida#1670, minhook's table of instruction pointers)",
            "a thread stands on an instruction that is overwritten",
            "on each one it is moved to the copy",
            PeersChecks::displaceUnderAThreadOnEachBoundary),
        new PeersCase(
            "failure 2 b (frida-gum stops at calls)",
            "a thread is in a callee that was called from the overwritten instructions",
            "it comes back behind them",
            () -> PeersChecks.displaceWhileSomeStayInACallee(2)),
        new PeersCase(
            "failure 2 (Orbit, uftrace: instruction pointers are moved, saved ones are not)",
            "a handler has interrupted a thread on an overwritten instruction",
            "inside it is waited for and then all is rolled back; at both ends it does not matter",
            PeersChecks::displaceUnderAHandlerOnEachBoundary),
        new PeersCase(
            "libcare tests/fail_coro",
            "a coroutine was preempted by a signal, and its frame is on a stack that nobody lists",
            "at the first byte, behind the last one and in the copy that does not matter",
            PeersChecks::displaceUnderAPreemptedFiberAtBothEnds),
        new PeersCase(
            "failure 3 (Orbit#3762, __GI_memcpy+3, uftrace#746, frida-gum#1139)",
            "other code jumps into the overwritten bytes",
            "rule 7 refuses it and names the jump",
            PeersChecks::refuseAFunctionThatAnotherEntersInTheMiddle),
        new PeersCase(
            "failure 4 (uftrace#1231, subhook#49, frida-core f0cc3b44)",
            "endbr64 is overwritten, or half of it is seen",
            "it stands at all times, with the jump behind it",
            PeersChecks::displaceBehindEndbr64),
        new PeersCase(
            "failure 8 (bpftime#166, uprobes never unmap)",
            "a thread is in the trampoline when it is disabled and enabled again",
            "it goes on in its copy, though the site has another one since",
            PeersChecks::revertAndApplyWhileAThreadIsInTheCopy),
        new PeersCase(
            "failure 8 (PolyHook#177, #214: a patch on a patch)",
            "two patches share bytes, and what the first had put there comes back at last",
            "who knows of the first is refused, who does not finds other bytes: nothing is written",
            PeersChecks::patchWhatIsPatchedAlready),
        new PeersCase(
            "failure 9 (libpulp#254: the process ends)",
            "it exits between two steps",
            "that is reported, and nothing hangs",
            () -> PeersChecks.endInTheMiddle("exit")),
        new PeersCase(
            "failure 9 (exec during the batch)",
            "it becomes another program between two steps",
            "that is reported, and the new program runs on",
            () -> PeersChecks.endInTheMiddle("exec")),
        new PeersCase(
            "failure 10 (SIGTRAP blocked)",
            "the kernel kills a thread that blocks the signal of a breakpoint",
            "no thread dies and no result is wrong",
            () -> PeersChecks.toggle("plain", 100, "--threads", "3", "--block-sigtrap")),
        new PeersCase(
            "failure 10 (SIGTRAP ignored)",
            "the kernel kills a thread that ignores the signal of a breakpoint",
            "no thread dies and no result is wrong",
            () -> PeersChecks.toggle("plain", 100, "--threads", "3", "--ignore-sigtrap")),
        new PeersCase(
            "failure 10 (dyninst#464: the program's own int3)",
            "the tool takes a breakpoint of the program for its own",
            "the program's handler gets those of the program and no other",
            PeersChecks::displaceInAProgramWithBreakpointsOfItsOwn));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void holdsHere(PeersCase each) throws Exception {
    each.check().run();
  }
}
