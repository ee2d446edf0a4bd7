package io.github.textpoke.x86.follow;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.FollowedProgram;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.NextProgram;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.x86.detour.AnnouncedCalls;
import io.github.textpoke.x86.detour.CallWatch;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * While it is open, the programs that a launched program and its descendants execute are patched as
 * it is, before their first instruction:
 *
 * <pre>{@code
 * try (FollowedChildren children = FollowedChildren.with(launch -> patched(launch));
 *     Launched program = children.in(patched(TargetProcess.launch(List.of("make")))).start()) {
 *   program.waitFor();
 *   children.programs().forEach(System.out::println);
 * }
 * }</pre>
 *
 * <ol>
 *   <li>A child that was forked has the patches of its parent, with or without this. What it
 *       executes has not: a program begins with fresh memory. So libc's execve, execveat and
 *       fexecve get a detour in which the caller waits until this JVM traces it; posix_spawn,
 *       system and popen call them. The program waits at its entry until it is patched; it runs on
 *       unpatched where that fails.
 *   <li>Not followed are: a system call execve that is not made by libc; what a program executes
 *       that has a seccomp filter, or is static and has no symbols; a program that changes its user
 *       or gets capabilities, since the kernel does not do that for one that is traced; a program
 *       in another PID namespace; one of 32 bits.
 *   <li>A child that is there while its parent is patched, by any JVM, may not be followed: a poker
 *       traces both then. It is said so.
 *   <li>Where this JVM is too slow, a caller goes on after two seconds, and so do those that come
 *       until that is seen. It is said so.
 *   <li>If this JVM ends, callers wait for two seconds once, and no more then; programs that it
 *       holds begin within some five seconds, with what is in place. Only one that is between its
 *       execve and its entry is ended.
 *   <li>Two pages stay mapped in each program that was followed.
 * </ol>
 *
 * <p>Thread-safe.
 */
public final class FollowedChildren implements AutoCloseable {
  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");

  /** That a program is waited for which is held, or does not come to its execve. */
  private static final int MOST_SECONDS = 30;

  private final UnaryOperator<Launch> patches;
  private final CallWatch watch = new CallWatch("textpoke-follow");
  private final List<FollowedProgram> programs = new ArrayList<>();
  private final Set<NextProgram> underWay = ConcurrentHashMap.newKeySet();

  private FollowedChildren(UnaryOperator<Launch> patches) {
    this.patches = patches;
  }

  /**
   * Nobody is followed yet: see {@link #in}.
   *
   * @param patches what each program gets. It is called for each, by threads of ours, with a launch
   *     of which only patches and options matter
   */
  public static FollowedChildren with(UnaryOperator<Launch> patches) {
    return new FollowedChildren(patches);
  }

  /**
   * The launch of a program whose children are followed. Its start throws, beside what patching
   * throws, what names why they can't be.
   */
  public Launch in(Launch launch) {
    return launch.patch(process -> add(Announcer.in(process)));
  }

  private void add(Announcer announcer) {
    watch.add(
        new CallWatch.Watched(
            announcer.calls(), call -> follow(announcer, call), () -> {}, announcer::isUsed));
  }

  private void follow(Announcer announcer, AnnouncedCalls.Call call) {
    int tid = call.thread();
    try {
      if (!announcer.calls().isWaiting(call)) {
        throw new UnsupportedTargetException(
            "thread "
                + tid
                + " has waited for two seconds before its execve, and gone on: this JVM was too"
                + " slow; so may others have, until now",
            "");
      }
      if (!announcer.isWaiting(tid)) {
        throw new UnsupportedTargetException(
            "thread " + tid + " is in a namespace of its own, or was killed", "");
      }
      Path file = ExecutedFile.of(tid, call);
      if (!ExecutedFile.isThere(file)) {
        return;
      }
      if (ExecutedFile.changesRights(tid, file)) {
        throw new UnsupportedTargetException(
            file + " changes the rights of who executes it, but not if that is traced",
            "attach to it when it runs");
      }
      AtomicReference<@Nullable RuntimeException> unfollowed = new AtomicReference<>();
      Launch launch =
          patches
              .apply(TargetProcess.launch(List.of(file.toString())))
              .patch(process -> addIfPossible(process, unfollowed));
      NextProgram next = NextProgram.follow(tid, launch, () -> announcer.calls().isWaiting(call));
      underWay.add(next);
      next.over().thenRun(() -> underWay.remove(next));
      next.begun()
          .whenComplete(
              (program, failure) -> {
                if (failure != null) {
                  LOGGER.log(
                      System.Logger.Level.WARNING, "what thread " + tid + " executes", failure);
                } else {
                  program.map(each -> with(each, unfollowed.get())).ifPresent(this::note);
                }
              });
    } catch (RuntimeException failure) {
      note(new FollowedProgram(tid, Path.of(""), Optional.of(failure)));
    }
  }

  private void addIfPossible(
      TargetProcess process, AtomicReference<@Nullable RuntimeException> unfollowed) {
    try {
      add(Announcer.in(process));
    } catch (PatchException failure) {
      unfollowed.set(failure);
    }
  }

  private static FollowedProgram with(
      FollowedProgram program, @Nullable RuntimeException unfollowed) {
    return program.failure().isPresent() || unfollowed == null
        ? program
        : new FollowedProgram(
            program.pid(),
            program.file(),
            Optional.of(
                new UnsupportedTargetException(
                    "its children are not followed: " + unfollowed.getMessage(), "")));
  }

  private synchronized void note(FollowedProgram program) {
    programs.add(program);
  }

  /**
   * What was executed until now, in the order of beginning; those that could not be followed too,
   * with the reasons. Of those that were not traced no file is known.
   */
  public synchronized ImmutableList<FollowedProgram> programs() {
    return ImmutableList.copyOf(programs);
  }

  /** Follows no more; programs that are held begin first. What is in place stays. Idempotent. */
  @Override
  public void close() {
    watch.close();
    CompletableFuture<Void> over =
        CompletableFuture.allOf(
            underWay.stream().map(NextProgram::over).toArray(CompletableFuture[]::new));
    over.completeOnTimeout(null, MOST_SECONDS, TimeUnit.SECONDS).join();
  }
}
