package io.github.textpoke.apply;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.NoSuchPatchException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.ledger.DetourNote;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.ledger.LedgerContents;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.PatchNote;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.Preflight;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.unwind.CodeObjects;
import io.github.textpoke.unwind.OwnCode;
import io.github.textpoke.verify.Verifier;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.LongPredicate;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A running process whose code is patched. Its threads are traced only while a patch is under way
 * and for a short time after ({@link AttachOptions#linger}); none is stopped for it but one, once,
 * for microseconds. Thread-safe; commands are carried out one after the other.
 *
 * <pre>{@code
 * try (TargetProcess process = TargetProcess.attach(pid)) {
 *   Patch patch = process.apply(plan);
 *   patch.revert();
 * }
 * }</pre>
 */
public final class TargetProcess implements AutoCloseable {
  private static final @Nullable Throwable UNAVAILABILITY_CAUSE = probe();

  private static final int TRAP_BYTE = 0xcc;

  private final int pid;
  private final AttachOptions options;
  private final Interference interference;
  private final Preflight preflight;
  private final ProcMemReader reader;

  /** Of {@link #map}, as it was read last; null: nobody has asked for it. */
  private @Nullable SiteResolver resolver;

  private @Nullable MemoryMap map;
  private final TargetLedger ledger;

  /** Those of this handle. */
  private final List<Patch> patches = new ArrayList<>();

  /** The plans that were used last: verified, and laid out for the engine. */
  private final CompiledPlans compiled = new CompiledPlans();

  private final Engines engines;
  private final CodeMemory room;

  /** By the patch's id. */
  private final Map<Long, Runnable> lastLooks = new HashMap<>();

  private volatile boolean leaving;
  private boolean closed;

  private TargetProcess(int pid, AttachOptions options, Interference interference) {
    this.pid = pid;
    this.options = options;
    this.interference = interference;
    this.preflight = Preflight.of(pid);
    // Another patcher's tracer is waited for, when our engine begins.
    preflight.checkKind();
    this.reader = new ProcMemReader(pid);
    this.ledger = new TargetLedger(pid);
    this.engines =
        new Engines(
            pid, options, interference, TRAP_BYTE, this::checkTarget, ledger, () -> leaving);
    this.room = new CodeMemory(pid, engines, ledger, this::beforeFree);
  }

  private static @Nullable Throwable probe() {
    if (!System.getProperty("os.name").equals("Linux")) {
      return new UnsupportedOperationException(
          "this is " + System.getProperty("os.name") + "; patching needs Linux");
    }
    if (!System.getProperty("os.arch").equals("amd64")) {
      return new UnsupportedOperationException(
          "this is " + System.getProperty("os.arch") + "; patching needs x86-64");
    }
    try {
      Kernel.load();
      return null;
    } catch (LinkageError | RuntimeException cause) {
      return cause;
    }
  }

  /** Whether processes can be patched here. Planning and verifying work everywhere. */
  public static boolean isAvailable() {
    return UNAVAILABILITY_CAUSE == null;
  }

  /** Why {@link #isAvailable} is false; null where it is true. */
  public static @Nullable Throwable unavailabilityCause() {
    return UNAVAILABILITY_CAUSE;
  }

  /**
   * Does nothing where processes can be patched.
   *
   * @throws UnsupportedPlatformException where they can't, with the cause
   */
  public static void ensureAvailability() {
    if (UNAVAILABILITY_CAUSE != null) {
      throw new UnsupportedPlatformException(
          "processes can't be patched here: " + UNAVAILABILITY_CAUSE.getMessage(),
          UNAVAILABILITY_CAUSE);
    }
  }

  /**
   * Starts a program so that patches are in place before its first instruction.
   *
   * @param command the program, a file's name or one that is looked for in PATH, and its arguments
   * @return how to start it: patches and all else are still to be said
   * @throws IllegalArgumentException if it is empty
   * @throws UnsupportedPlatformException where processes can't be patched
   */
  public static Launch launch(List<String> command) {
    ensureAvailability();
    return Launch.of(command);
  }

  /**
   * Attaches with {@link AttachOptions#DEFAULT}.
   *
   * @throws PatchException of the type that names the cause; nothing was written
   */
  public static TargetProcess attach(int pid) {
    return attach(pid, AttachOptions.DEFAULT);
  }

  /**
   * Checks all that can be checked beforehand, seizes the threads once, and makes core syncs
   * possible, so that what is not allowed fails here and not in the middle of a patch. No thread is
   * stopped but the one that is borrowed.
   *
   * @throws PatchException of the type that names the cause; nothing was written
   */
  public static TargetProcess attach(int pid, AttachOptions options) {
    return attach(pid, options, Interference.NONE);
  }

  /** As {@link #attach(int, AttachOptions)}, with interference: for tests. */
  static TargetProcess attach(int pid, AttachOptions options, Interference interference) {
    ensureAvailability();
    TargetProcess process = open(pid, options, interference);
    try {
      process.execute(
          engine -> {
            engine.tryOut();
            return true;
          });
    } catch (RuntimeException | Error failure) {
      process.close();
      throw failure;
    }
    return process;
  }

  private static TargetProcess open(int pid, AttachOptions options, Interference interference) {
    try {
      return new TargetProcess(pid, options, interference);
    } catch (NoSuchProcessException none) {
      throw none;
    } catch (PatchException failure) {
      throw Preflight.of(pid).orGone(failure);
    }
  }

  /** The process id. */
  public int pid() {
    return pid;
  }

  /**
   * Whether a thread of the process runs on a shadow stack (CET) at this moment: then no call may
   * be displaced, for its return would fault, and the planner must be told. It stays true of a
   * program once it is, in practice: the loader switches shadow stacks on before the program begins
   * and locks them. What a program switches on for itself later is not foreseen.
   *
   * @throws TargetGoneException if the process has ended
   */
  public boolean hasShadowStacks() {
    boolean has = ProcStatus.hasShadowStacks(pid);
    if (!has && ProcStatus.threads(pid).length == 0) {
      throw new TargetGoneException(pid, "while its threads were looked at");
    }
    return has;
  }

  /**
   * Whether some thread of the process has a seccomp filter, or is in strict mode, at this moment.
   */
  public boolean hasSeccompFilter() {
    for (int tid : ProcStatus.threads(pid)) {
      ProcStatus status = ProcStatus.read(tid);
      if (status != null && status.seccomp() != 0) {
        return true;
      }
    }
    return false;
  }

  /**
   * Has nobody else patch the target until {@code work} is done, which may call this object.
   *
   * @throws PatchException of {@code work}, or if another patcher does not let go in time
   */
  public synchronized <T> T exclusively(Supplier<T> work) {
    return execute(engine -> engine.exclusively(work));
  }

  /**
   * The absolute address of a site.
   *
   * @param site {@code 0xADDR} or {@code [object:]symbol[#n][+offset]}
   * @throws PatchException if it is no site, or there are none or several of the name
   */
  public long address(String site) {
    return orGone(() -> resolver().resolve(SiteName.parse(site))).address();
  }

  /** What is read while the process ends is nothing, or not all. */
  private <T> T orGone(Supplier<T> reading) {
    try {
      return reading.get();
    } catch (TargetGoneException gone) {
      throw preflight.orExeced(gone);
    } catch (PatchException failure) {
      throw preflight.orGone(failure);
    }
  }

  /**
   * The function that holds a site, as it stands now, with the bytes that patches in the ledger
   * have replaced, whoever has made them.
   *
   * @param site {@code 0xADDR} or {@code [object:]symbol[#n][+offset]}
   * @throws PatchException if there is no such function
   */
  public synchronized CodeRegion code(String site) {
    CodeRegion region = orGone(() -> resolver().resolve(SiteName.parse(site)).code());
    Map<Long, Site> oldest = new LinkedHashMap<>();
    for (PatchPlan plan : standing()) {
      for (Poke poke : plan.pokes()) {
        if (region.contains(poke.address())) {
          oldest.putIfAbsent(poke.address(), region.within(poke.site()));
        }
      }
    }
    return new CodeRegion(
        region.name(),
        region.address(),
        region.bytes(),
        region.entryPoints(),
        ImmutableList.copyOf(oldest.values()),
        region.backing());
  }

  /** Finds symbols and describes addresses, in the objects that are loaded now. Not thread-safe. */
  public synchronized SiteResolver resolver() {
    return resolver(MemoryMap.read(pid));
  }

  /**
   * Looks at the stacks of the target's threads. It reads memory through this handle, and ends with
   * it.
   *
   * @param ownCode tells of code of ours
   * @param more objects that no loader of the target's has loaded
   * @param known what was read of objects before, and is added to
   */
  public ThreadStacks stacks(OwnCode ownCode, CodeObjects more, StackObjects known) {
    return new ThreadStacks(pid, reader, ownCode, more, known);
  }

  private SiteResolver resolver(MemoryMap now) {
    SiteResolver known = resolver;
    if (known != null && now.equals(map)) {
      return known;
    }
    SiteResolver made = new SiteResolver(pid, now, reader);
    map = now;
    resolver = made;
    return made;
  }

  /**
   * The plans whose new bytes stand, or may; the oldest first. Of a patch that was reverted under
   * another one they do.
   */
  public synchronized ImmutableList<PatchPlan> standing() {
    return Stream.concat(
            contents().entries().stream()
                .filter(entry -> entry.progress().state() != Progress.State.RETIRED)
                .map(LedgerEntry::plan),
            patches.stream().filter(patch -> patch.id() == 0).map(Patch::plan))
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * The patches that stand in the process, by whomever, by number; behind them those of this handle
   * that could not be recorded. One that was reverted is not among them, even if its code is kept.
   */
  public synchronized ImmutableList<Patch> patches() {
    ImmutableList.Builder<Patch> all = ImmutableList.builder();
    for (LedgerEntry entry : contents().entries()) {
      if (isReverted(entry)) {
        continue;
      }
      all.add(
          patches.stream()
              .filter(patch -> patch.id() == entry.id())
              .findFirst()
              .orElseGet(() -> new Patch(this, PatchRecord.of(ledger, entry), entry.note(), null)));
    }
    patches.stream().filter(patch -> patch.id() == 0).forEach(all::add);
    return all.build();
  }

  /**
   * The memory of patches in the ledger that stand at sites, by whomever: what they have displaced
   * runs there. Also of those that were reverted under others.
   *
   * @param isAsked which sites, by absolute address
   */
  public synchronized ImmutableList<Extent> broughtTo(LongPredicate isAsked) {
    return contents().entries().stream()
        .filter(entry -> entry.progress().state() != Progress.State.RETIRED)
        .filter(
            entry -> entry.plan().pokes().stream().anyMatch(poke -> isAsked.test(poke.address())))
        .flatMap(entry -> entry.note().detour().stream())
        .flatMap(detour -> detour.memory().stream())
        .collect(ImmutableList.toImmutableList());
  }

  private static boolean isReverted(LedgerEntry entry) {
    Progress.State state = entry.progress().state();
    return state == Progress.State.RETIRED || state == Progress.State.BYPASSED;
  }

  /**
   * A patch that stands in the process, by whomever.
   *
   * @param id its number in the target
   * @throws NoSuchPatchException if there is none with that number
   */
  public Patch patch(long id) {
    ImmutableList<Patch> all = patches();
    return all.stream()
        .filter(patch -> patch.id() == id)
        .findFirst()
        .orElseThrow(() -> new NoSuchPatchException(pid, id, all.stream().map(Patch::id).toList()));
  }

  /**
   * What the ledger of a process says of the patches in it, whoever has made them, and what stands
   * at their sites. Nothing is traced and nothing written.
   *
   * @throws PatchException if there is no such process, or it can't be looked at
   */
  public static LedgerStatus status(int pid) {
    ensureAvailability();
    try (TargetLedger ledger = new TargetLedger(pid)) {
      return new StatusReader(ledger).read();
    }
  }

  /**
   * As {@link #status(int)}, of this process. What it has read before it need not understand again.
   */
  public synchronized LedgerStatus status() {
    checkOpen();
    return new StatusReader(ledger).read();
  }

  /**
   * Finishes or rolls back what another patcher was cut off in, by the protocol: a patch whose new
   * bytes all stand is finished, any other goes back. Threads that run a breakpoint of the dead
   * patcher meanwhile wait, and then run the site again.
   *
   * @return what became of each patch that was cut off
   * @throws PatchException as {@link #apply}
   */
  public synchronized ImmutableList<RecoveredPatch> recover() {
    Recoverer recoverer = new Recoverer(ledger);
    if (!recoverer.isNeeded()) {
      return ImmutableList.of();
    }
    return execute(
        engine -> {
          engine.beginRecovery(recoverer.isTooLongForPoker());
          try {
            return recoverer.recover(engine);
          } finally {
            engine.endRecovery();
          }
        });
  }

  /**
   * Verifies a plan and applies it. Its label in the ledger is the name of its first site.
   *
   * @throws PatchException of the type that names the cause; its {@link PatchException#outcome}
   *     says whether the target is untouched or was rolled back
   */
  public synchronized Patch apply(PatchPlan plan) {
    checkOpen();
    long first = plan.pokes().get(0).address();
    MemoryMap now = MemoryMap.read(pid);
    String name = resolver(now).describe(first).orElse("0x" + Long.toHexString(first));
    int others = plan.pokes().size() - 1;
    String label = others == 0 ? name : name + " and " + others + " more";
    return apply(compile(plan, () -> now), label);
  }

  /**
   * Verifies a plan and applies it.
   *
   * @param label what it is, for {@link #status}; at most 512 bytes of UTF-8 are kept
   * @throws PatchException of the type that names the cause; its {@link PatchException#outcome}
   *     says whether the target is untouched or was rolled back
   */
  public synchronized Patch apply(PatchPlan plan, String label) {
    return apply(compile(plan), label);
  }

  /**
   * Finds room in the target for a patch's code, writes it there, and applies the patch.
   *
   * @param label what it is, for {@link #status}; at most 512 bytes of UTF-8 are kept
   * @throws PatchException of the type that names the cause; its {@link PatchException#outcome}
   *     says whether the target is untouched or was rolled back
   */
  public synchronized Patch apply(CodePatch patch, String label) {
    return execute(engine -> engine.exclusively(() -> place(patch, label)));
  }

  /**
   * Verifies a plan that leads to code which stands in the target already, and applies it.
   *
   * @param bypass of one instruction for one each, inside of that code: makes it lead on to what
   *     the plan replaces, so that the patch can go while another one stands over it
   * @param label what it is, for {@link #status}; at most 512 bytes of UTF-8 are kept
   * @throws PatchException as {@link #apply(PatchPlan, String)}
   */
  public synchronized Patch apply(PatchPlan plan, PatchPlan bypass, String label) {
    DetourNote note = new DetourNote(bypass, ImmutableList.of());
    return execute(
        engine -> engine.exclusively(() -> apply(compile(plan), label, Optional.of(note))));
  }

  /**
   * Has the ledger forget sites whose code is gone: the program has unmapped it, and what is mapped
   * there now, if anything is, has not been patched. Nothing is written there. A patch that has
   * other sites too stands on with those, by another number; one that has none is retired.
   *
   * @param isGone tells of the absolute address of a site, also of one in code of ours that a
   *     patch's bypass changes
   * @throws PatchException if another patcher does not let go in time
   */
  public synchronized void retire(LongPredicate isGone) {
    this.<Boolean>exclusively(
        () -> {
          new GoneCode(ledger.ledger(), isGone).retire();
          // What was verified was so for the code that was there.
          compiled.forget(plan -> isGone(plan, isGone));
          patches.removeIf(patch -> patch.id() != 0 && isGone(patch.plan(), isGone));
          return true;
        });
  }

  private static boolean isGone(PatchPlan plan, LongPredicate isGone) {
    return plan.pokes().stream().anyMatch(poke -> isGone.test(poke.address()));
  }

  /** Verifies a plan, so that it is applied without that delay later. */
  public synchronized void prepare(PatchPlan plan) {
    compile(plan);
  }

  /**
   * Plans patches for where they will most likely be placed, verifies them and what undoes them,
   * and has room in the ledger, so that applying and reverting them takes no longer than it must.
   * Where they come to stand elsewhere, or another program's code stands there by then, that is
   * done again. Their code is not written yet.
   *
   * @param label of the patches
   * @throws PatchException of the type that names the cause
   */
  public synchronized void prepare(List<? extends CodePatch> coming, String label) {
    execute(
        engine ->
            engine.exclusively(
                () -> {
                  prepareNow(coming, label);
                  return true;
                }));
  }

  private void prepareNow(List<? extends CodePatch> coming, String label) {
    List<CompiledPlan> plans = new ArrayList<>();
    List<PatchNote> notes = new ArrayList<>();
    for (CodeMemory.Placed ahead : room.makeAhead(coming)) {
      CompiledPlan forth = compile(ahead.made().plan());
      plans.add(forth);
      plans.add(compileInverse(forth.plan));
      PatchNote note = note(forth, label, Optional.of(ahead.note()));
      notes.add(note);
      // When it comes again there are two for a moment.
      notes.add(note);
    }
    engines.prepare(plans, ledger.ledger().missingRoom(notes));
  }

  /**
   * Has room in the target for code of patches that are to come, so that applying them maps nothing
   * there. Room that is there already, and that no patch has, counts.
   *
   * @param nearStart absolute address of the first byte that the code must reach
   * @param nearEnd absolute address behind the last byte that it must reach
   * @param code bytes of code, at least one
   * @param data bytes of data
   * @throws PatchException of the type that names the cause
   */
  public synchronized void reserve(long nearStart, long nearEnd, long code, long data) {
    execute(
        engine ->
            engine.exclusively(
                () -> {
                  room.reserve(nearStart, nearEnd, code, data);
                  return true;
                }));
  }

  /**
   * Has somebody look at what a patch of this process has brought along, once, before this handle
   * gives it to others: when no thread is in there any more, so that it changes no more. Another
   * handle or JVM may give it away without that.
   *
   * @param look is called while this object is locked; must not wait
   */
  public synchronized void beforeFree(Patch patch, Runnable look) {
    lastLooks.put(patch.id(), look);
  }

  private void beforeFree(long id) {
    Runnable look = lastLooks.remove(id);
    if (look != null) {
      look.run();
    }
  }

  private LedgerContents contents() {
    return orGone(ledger::contents);
  }

  /**
   * Whether the code and data that a patch of this process has brought along are still its own:
   * while it stands, and after it was reverted until the memory is given to another one.
   *
   * @throws PatchException if the process is gone, or can't be read
   */
  public synchronized boolean keepsMemory(Patch patch) {
    return contents().find(patch.id()).isPresent();
  }

  /**
   * Writes eight bytes, at once, to data that a patch has brought along; code of that patch may
   * read and write them meanwhile. Nothing is stopped.
   *
   * @param address absolute, a multiple of 8
   * @throws WrongStateException if no patch in the ledger has data there
   * @throws PatchException of the type that names the cause
   */
  public synchronized void store(long address, long value) {
    checkArgument(address % Long.BYTES == 0, "eight bytes at %s", address);
    execute(
        engine ->
            engine.exclusively(
                () -> {
                  if (contents().entries().stream().noneMatch(entry -> hasData(entry, address))) {
                    throw new WrongStateException(
                        "no patch has data at 0x%x any more".formatted(address));
                  }
                  engine.fill(address, littleEndian(value));
                  return true;
                }));
  }

  private static CodeBytes littleEndian(long value) {
    ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    return CodeBytes.of(bytes.putLong(value).array());
  }

  /** The first extent is code. */
  private static boolean hasData(LedgerEntry entry, long address) {
    return entry.note().detour().stream()
        .flatMap(detour -> detour.memory().stream().skip(1))
        .anyMatch(extent -> extent.start() <= address && address + Long.BYTES <= extent.end());
  }

  private Patch place(CodePatch patch, String label) {
    CodeMemory.Placed placed = room.place(patch);
    Patch applied = apply(compile(placed.made().plan()), label, Optional.of(placed.note()));
    LedgerEntry adopted = placed.adopted();
    if (adopted != null) {
      // Its memory is the new patch's now, and gone on with.
      lastLooks.remove(adopted.id());
      ledger.ledger().progress(adopted, new Progress(Progress.State.REVERTED, 0));
    }
    return applied;
  }

  private Patch apply(CompiledPlan ready, String label) {
    return apply(ready, label, Optional.empty());
  }

  private Patch apply(CompiledPlan ready, String label, Optional<DetourNote> detour) {
    PatchNote note = note(ready, label, detour);
    PatchRecord record = new PatchRecord(ledger, note);
    ApplyReport report = run(ready, record);
    Patch patch = new Patch(this, record, note, report);
    patches.add(patch);
    return patch;
  }

  private PatchNote note(CompiledPlan ready, String label, Optional<DetourNote> detour) {
    return new PatchNote(Instant.now(), Who.WE, label, engines.name(ready), ready.plan, detour);
  }

  /** Memory in the process for whole objects of ours. */
  public ObjectMemory objectMemory() {
    return new ObjectMemory(this);
  }

  /**
   * Calls a function of the process on a thread of ours, and waits until it has returned. The
   * thread has a stack of 256 KiB and thread-local variables of its own, so the function may use
   * the C library as in any thread of the program: errno, malloc, stdio, locks; it may open files,
   * fork, and start threads. It runs beside the program's threads, none of which is stopped but one
   * that is borrowed for microseconds to clone it; nobody else patches the process meanwhile.
   *
   * <ol>
   *   <li>It blocks all signals but those that it raises itself, and so do threads that it starts.
   *       One that it raises ends it before the program sees it, even if the program has a handler;
   *       one that a thread which it has started raises is the program's.
   *   <li>A child that it forks goes on in the function, and ends when that returns.
   *   <li>If it ends the process, or has it run another program, that is so.
   *   <li>If this JVM is killed, the thread goes on and ends when the function returns. Only its
   *       memory stays. A signal that it raises from then on is the program's.
   *   <li>What the thread has left is kept for the next call, some 300 KiB: to the C library it is
   *       the same thread again, since allocators keep lists of threads. After a call that did not
   *       return the next one is another thread.
   *   <li>While it runs, a change of user that another thread makes (setuid) is not made for it.
   * </ol>
   *
   * @param function absolute address
   * @param first its first argument
   * @param second its second argument; a function that takes fewer does not mind
   * @param timeout how long it may run
   * @return what became of it
   * @throws UnsupportedTargetException if it is not known how to make a thread of the process's: it
   *     is linked statically, its C library is not glibc 2.34 or later, or it has one thread; the
   *     message says which. Nothing has run
   * @throws TargetGoneException if the process has ended meanwhile, by the function or otherwise
   * @throws TargetExecedException if it runs another program now, by the function or otherwise
   * @throws PatchException of another type that names the cause
   */
  public CallOutcome call(long function, long first, long second, Duration timeout) {
    return execute(engine -> engine.call(reader, function, first, second, timeout));
  }

  /**
   * Those stretches of code in which no thread is: none has its instruction pointer, a word of its
   * stack, or, where it has to be stopped for a look, a register there. Who is in a system call is
   * not stopped.
   *
   * @param extents absolute, none of which overlaps another
   * @throws PatchException of the type that names the cause
   */
  public synchronized ImmutableList<Extent> unused(ImmutableList<Extent> extents) {
    return execute(engine -> engine.unused(extents));
  }

  /**
   * Tries once to change a turn at a moment at which no thread is in the code that is left. Try
   * again, with a pause, where the report says that it was not done.
   *
   * @param stacks of this process, which know what is on them in the gates
   * @throws PatchException of the type that names the cause
   */
  public synchronized SwitchReport change(TurnSwitch what, ThreadStacks stacks) {
    return execute(engine -> engine.change(what, stacks));
  }

  /**
   * What refers to memory of ours: a thread, a word on a stack, or a word in private memory that
   * the program may write, as a pointer to a function is. A word that happens to have such a value
   * counts too.
   *
   * @param extents absolute, none of which overlaps another
   * @param known addresses that may stand in private memory: somebody has them who is told
   * @return the first that was found; empty: nothing does
   * @throws PatchException of the type that names the cause
   */
  public synchronized Optional<CodeReference> reference(
      ImmutableList<Extent> extents, LongPredicate known) {
    return execute(engine -> engine.reference(extents, known));
  }

  synchronized boolean isCovered(long id) {
    return new PatchStack(contents().entries()).isCovered(id);
  }

  /**
   * Reads memory of the target, without stopping anything.
   *
   * @param address absolute
   * @param length bytes
   * @throws PatchException if not all of it can be read
   */
  public CodeBytes read(long address, int length) {
    return orGone(() -> reader.read(address, length));
  }

  /** As {@link ObjectMemory#store}. */
  synchronized void store(long address, CodeBytes bytes) {
    checkOpen();
    long written = ledger.store(address, bytes);
    if (written == 0) {
      throw preflight.orExeced(new TargetGoneException(pid, "its memory is gone"));
    }
    if (written != bytes.length()) {
      throw preflight.orGone(
          new UnwritableMappingException(
              address,
              "expected memory of ours of %d bytes, found that it can't be written"
                  .formatted(bytes.length()),
              Outcome.UNTOUCHED));
    }
  }

  synchronized ApplyReport revert(Patch patch) {
    return execute(engine -> engine.exclusively(() -> revertNow(patch)));
  }

  private ApplyReport revertNow(Patch patch) {
    PatchStack stack = new PatchStack(contents().entries());
    Optional<DetourNote> detour = patch.note().detour();
    ApplyReport report;
    if (detour.isPresent() && stack.isCovered(patch.id())) {
      // Those above lead to its code, so that goes on where they would.
      report = run(compile(detour.get().bypass()), patch.record().next(PatchRecord.Way.BYPASS));
    } else {
      report = run(compileInverse(patch.plan()), patch.record().next(false));
      stack
          .bypassedBelow(patch.id())
          .forEach(
              below ->
                  run(
                      compileInverse(below.plan()),
                      PatchRecord.of(ledger, below).next(PatchRecord.Way.REVERT)));
    }
    patches.remove(patch);
    return report;
  }

  /**
   * Applies and reverts a plan {@code count} times in one go. The old bytes stand at the end.
   *
   * @param interval from the start of one poke to that of the next; zero: at once
   * @param listener hears of each poke
   * @return how often it was applied and reverted
   * @throws PatchException as {@link #apply}
   */
  public synchronized long toggle(
      PatchPlan plan, long count, Duration interval, ToggleListener listener) {
    CompiledPlan forth = compile(plan);
    CompiledPlan back = compileInverse(plan);
    PatchRecord record = new PatchRecord(ledger, note(forth, "toggled", Optional.empty()));
    // A JVM that is told to end does so when the old bytes stand.
    Thread hook = new Thread(this::endSeries, "textpoke-leave-" + pid);
    addHook(hook);
    try {
      return execute(
          engine -> toggle(engine, record, forth, back, count, interval.toNanos(), listener));
    } finally {
      removeHook(hook);
    }
  }

  private void endSeries() {
    leaving = true;
    close();
  }

  private static void addHook(Thread hook) {
    try {
      Runtime.getRuntime().addShutdownHook(hook);
    } catch (IllegalStateException shuttingDown) {
      throw new WrongStateException("this JVM is shutting down");
    }
  }

  private void removeHook(Thread hook) {
    if (!leaving) {
      try {
        Runtime.getRuntime().removeShutdownHook(hook);
      } catch (IllegalStateException shuttingDown) {
        // The hook runs, and waits for this very call.
        leaving = true;
      }
    }
  }

  private static long toggle(
      Engine engine,
      PatchRecord record,
      CompiledPlan forth,
      CompiledPlan back,
      long count,
      long interval,
      ToggleListener listener) {
    long next = System.nanoTime();
    for (long i = 0; i < count; i++) {
      boolean goOn;
      try {
        goOn = timed(engine, forth, record.next(true), listener);
      } catch (PatchException failure) {
        throw failure;
      } catch (RuntimeException | Error ofListener) {
        engine.apply(back, record.next(false));
        throw ofListener;
      }
      next = engine.pace(next + interval);
      goOn &= timed(engine, back, record.next(false), listener);
      if (!goOn || engine.isLeaving()) {
        return i + 1;
      }
      next = engine.pace(next + interval);
    }
    return count;
  }

  private static boolean timed(
      Engine engine, CompiledPlan plan, PatchRecord record, ToggleListener listener) {
    long traps = engine.traps();
    apply(engine, plan, record);
    return listener.poked(
        engine.nanos(), engine.windowNanos(), engine.traps() - traps, engine.parked());
  }

  private ApplyReport run(CompiledPlan plan, PatchRecord record) {
    return execute(
        engine -> {
          long traps = engine.traps();
          apply(engine, plan, record);
          return new ApplyReport(
              engine.name(),
              engine.remark(),
              engine.nanos(),
              engine.windowNanos(),
              engine.traps() - traps,
              engine.parked(),
              engine.threads());
        });
  }

  private static void apply(Engine engine, CompiledPlan plan, PatchRecord record) {
    try {
      engine.apply(plan, record);
    } catch (PatchException failure) {
      if (failure.outcome() == Outcome.UNTOUCHED) {
        record.withdraw(failure);
      }
      throw failure;
    }
  }

  private CompiledPlan compile(PatchPlan plan) {
    return compile(plan, () -> MemoryMap.read(pid));
  }

  private CompiledPlan compileInverse(PatchPlan plan) {
    return compile(compiled.inverse(plan));
  }

  private CompiledPlan compile(PatchPlan plan, Supplier<MemoryMap> now) {
    CompiledPlan ready = compiled.find(plan);
    if (ready == null) {
      Verifier.check(plan).orThrow();
      try {
        preflight.checkPlan(plan, now.get());
      } catch (PatchException failure) {
        throw preflight.orGone(failure);
      }
      ready = new CompiledPlan(plan, interference.steps(plan.steps()));
      compiled.add(ready);
    }
    return ready;
  }

  synchronized <T> T execute(Function<Engines, T> work) {
    try {
      return carryOut(work);
    } catch (PatchException failure) {
      throw preflight.orGone(failure);
    }
  }

  private <T> T carryOut(Function<Engines, T> work) {
    checkOpen();
    return work.apply(engines);
  }

  private void checkOpen() {
    if (closed) {
      throw new WrongStateException("process " + pid + " was closed");
    }
  }

  /** Before anything of ours comes into the target. */
  private void checkTarget(MemoryMap now) {
    preflight.checkProcess();
    checkSameProgram(now);
  }

  /** The memory that was opened when we attached is gone where the process has called execve. */
  private void checkSameProgram(MemoryMap now) {
    try {
      reader.read(preflight.syscallInstruction(now), 1);
    } catch (TargetGoneException | UnwritableMappingException otherMemory) {
      TargetExecedException failure = new TargetExecedException(pid);
      failure.addSuppressed(otherMemory);
      throw failure;
    }
  }

  /** Leaves the target until the next command: no thread is traced, and none of ours is in it. */
  synchronized void letGo() {
    if (!closed) {
      engines.letGo();
    }
  }

  /** Leaves the target: no thread is traced any more. Patches stay. Idempotent. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      engines.leave();
      reader.close();
      ledger.close();
    }
  }
}
