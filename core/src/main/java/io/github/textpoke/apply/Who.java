package io.github.textpoke.apply;

/** Who patches: for the ledger, and for other patchers that have to wait. */
final class Who {
  /** This JVM. */
  static final String WE =
      "process "
          + ProcessHandle.current().pid()
          + " ("
          + ProcessHandle.current()
              .info()
              .command()
              .map(command -> command.substring(command.lastIndexOf('/') + 1))
              .orElse("java")
          + ") of user "
          + System.getProperty("user.name");

  private Who() {}
}
