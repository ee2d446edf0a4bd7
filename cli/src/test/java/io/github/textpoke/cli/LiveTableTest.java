package io.github.textpoke.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The command in a JVM of its own, on a terminal of its own. */
@RequiresPtrace
@Timeout(120)
class LiveTableTest {
  /**
   * Runs a command on a new terminal, does something when a text has appeared there, and prints,
   * when the command has ended: its exit code, how many of the terminal's flags for lines and echo
   * were set meanwhile, whether the settings are as before, and what has appeared.
   */
  private static final String TERMINAL =
      """
      import fcntl, os, pty, signal, subprocess, sys, termios
      text, what, command = sys.argv[1].encode(), sys.argv[2], sys.argv[3:]
      master, slave = pty.openpty()
      before = termios.tcgetattr(slave)
      def own():
          os.setsid()
          signal.signal(signal.SIGINT, signal.SIG_DFL)
          fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
      running = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own)
      shown = b''
      while text not in shown and running.poll() is None:
          shown += os.read(master, 10000)
      flags = termios.tcgetattr(slave)[3]
      if what == 'stop':
          os.write(master, b'\\x1a')
          os.waitpid(running.pid, os.WUNTRACED)
          print('stopped, settings', 'same' if termios.tcgetattr(slave) == before else 'others')
          running.send_signal(signal.SIGCONT)
          while termios.tcgetattr(slave)[3] & termios.ECHO:
              pass
          flags = termios.tcgetattr(slave)[3]
          what = 'q'
      if what.startswith('kill '):
          os.kill(int(what[5:]), signal.SIGKILL)
      else:
          os.write(master, what.encode().decode('unicode_escape').encode())
      os.set_blocking(master, False)
      ended = False
      while True:
          try:
              shown += os.read(master, 10000)
          except BlockingIOError:
              if ended:
                  break
              try:
                  running.wait(0.01)
                  ended = True
              except subprocess.TimeoutExpired:
                  pass
      print('exit', running.returncode)
      print('flags', bin(flags & (termios.ICANON | termios.ECHO)).count('1'))
      print('settings', 'same' if termios.tcgetattr(slave) == before else 'others')
      print(shown.decode(errors='replace'))
      """;

  private static final String ENDED_BY_Q = "q or Ctrl-C ends it and takes all probes back";

  private final Fixture program = Fixture.start("probed", "--threads", "2", "--busy");

  @BeforeEach
  void begin() {
    program.command("go");
  }

  @AfterEach
  void stop() {
    program.close();
  }

  private String onTerminal(String text, String what) throws IOException, InterruptedException {
    List<String> words = new ArrayList<>(List.of("python3", "-c", TERMINAL, text, what));
    words.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    words.add("--enable-native-access=ALL-UNNAMED");
    words.add("-XX:TieredStopAtLevel=1");
    words.add("-cp");
    words.add(System.getProperty("java.class.path"));
    words.add(Main.class.getName());
    words.addAll(List.of("probe", Integer.toString(program.pid()), "probed:told"));
    Process python = new ProcessBuilder(words).redirectErrorStream(true).start();
    String printed = new String(python.getInputStream().readAllBytes(), UTF_8);
    assertThat(python.waitFor()).as(printed).isZero();
    return printed;
  }

  private void assertThatAllProbesAreGone() {
    program.assertHealthy();
    assertThat(TargetProcess.status(program.pid()).patches())
        .extracting(PatchStatus::state)
        .containsExactly(PatchStatus.State.RETIRED);
  }

  @Test
  void qEndsItWith0AndLeavesTheProgramAndTheTerminalAsTheyWere() throws Exception {
    String printed = onTerminal(ENDED_BY_Q, "q");

    assertThat(printed)
        .startsWith("exit 0\nflags 0\nsettings same\n")
        .containsPattern("calls/s +calls +function")
        .contains("probed:told")
        .contains("1 of 1 function was called in ");
    assertThatAllProbesAreGone();
  }

  @Test
  void anotherKeyDoesNothingAndCtrlCEndsItAsASignal() throws Exception {
    String printed = onTerminal(ENDED_BY_Q, "x\\x03");

    assertThat(printed)
        .startsWith("exit 130\nflags 0\nsettings same\n")
        .contains("1 of 1 function was called in ");
    assertThatAllProbesAreGone();
  }

  @Test
  void whileItIsStoppedTheTerminalIsAsItWas() throws Exception {
    String printed = onTerminal(ENDED_BY_Q, "stop");

    assertThat(printed).startsWith("stopped, settings same\nexit 0\nflags 0\nsettings same\n");
    assertThatAllProbesAreGone();
  }

  @Test
  void aFailureLeavesTheTerminalAsItWas() throws Exception {
    String printed = onTerminal(ENDED_BY_Q, "kill " + program.pid());

    assertThat(printed)
        .startsWith("exit " + ExitCode.TARGET_GONE + "\nflags 0\nsettings same\n")
        .contains("textpoke: process " + program.pid());
  }
}
