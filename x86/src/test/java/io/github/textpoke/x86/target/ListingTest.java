package io.github.textpoke.x86.target;

import io.github.textpoke.x86.decode.RequiresZydis;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/** The whole code, as people read it, is a file: see {@link Listings}. */
@RequiresZydis
final class ListingTest {
  private static final String POKER = "poker_tasks.txt";
  private static final String BORROWER = "borrow_task.txt";
  private static final String LAUNCHER = "launch_task.txt";
  private static final String HOLDER = "hold_code.txt";
  private static final long PAGES = 0x7f0000001000L;

  @Test
  void theCodeOfHelperAndPokerIsThatOfTheListing() throws IOException {
    PokerTasks tasks = new PokerTasks();
    Listings.compare(ListingTest.class, POKER, tasks.code(), tasks.notes());
  }

  @Test
  void theCodeOfTheBorrowerIsThatOfTheListing() throws IOException {
    Assembler assembler = new Assembler();
    BorrowTask.emit(assembler);
    Listings.compare(ListingTest.class, BORROWER, new PokerTasks().borrower(), assembler.notes());
  }

  @Test
  void theCodeOfTheLauncherIsThatOfTheListing() throws IOException {
    Assembler assembler = new Assembler();
    LaunchTask.emit(assembler);
    Listings.compare(ListingTest.class, LAUNCHER, new PokerTasks().launcher(), assembler.notes());
  }

  @Test
  void theCodeInWhichProgramsWaitIsThatOfTheListing() throws IOException {
    Assembler assembler = new Assembler();
    HoldCode.emit(assembler, PAGES);
    Listings.compare(ListingTest.class, HOLDER, new PokerTasks().holder(PAGES), assembler.notes());
  }
}
