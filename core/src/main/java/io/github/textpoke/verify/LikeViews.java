package io.github.textpoke.verify;

import java.util.ArrayList;
import java.util.List;

/**
 * The sites of a plan, by what they are like: those of which several old instructions become one,
 * and those of which one becomes several. What is true of all of a kind is looked at once, and not
 * again before a step has changed it: there may be thousands. Mutable, for one thread.
 */
final class LikeViews {
  /** One kind. */
  private static final class Kind {
    private final List<SiteView> views = new ArrayList<>();
    private boolean knowsClosed;
    private boolean closed;
    private boolean allOccupied;
  }

  private final Kind displacing = new Kind();
  private final Kind restoring = new Kind();

  LikeViews(List<SiteView> views) {
    for (SiteView view : views) {
      if (view.poke().displaces()) {
        displacing.views.add(view);
      } else if (view.poke().restores()) {
        restoring.views.add(view);
      }
    }
  }

  private Kind kind(SiteView view) {
    return view.poke().displaces() ? displacing : restoring;
  }

  /** Bytes were written, or cores have forgotten what they fetched. */
  void changed() {
    displacing.knowsClosed = false;
    restoring.knowsClosed = false;
  }

  /**
   * A site may be empty now. It is closed if it was, and if not all of its kind were then none has
   * become so.
   */
  void evacuated() {
    displacing.allOccupied = false;
    restoring.allOccupied = false;
  }

  /** Whether all that are like {@code view}, a site of several instructions, are closed. */
  boolean areClosed(SiteView view) {
    Kind kind = kind(view);
    if (!kind.knowsClosed) {
      kind.knowsClosed = true;
      kind.closed = kind.views.stream().allMatch(SiteView::isClosed);
    }
    return kind.closed;
  }

  /**
   * Threads may have come inside of all that are like {@code view}, a site of several instructions.
   *
   * @return those in which nobody was before
   */
  List<SiteView> occupy(SiteView view) {
    Kind kind = kind(view);
    if (kind.allOccupied) {
      return List.of();
    }
    kind.allOccupied = true;
    kind.knowsClosed = false;
    List<SiteView> entered = new ArrayList<>();
    for (SiteView each : kind.views) {
      if (!each.isOccupied()) {
        each.occupy();
        entered.add(each);
      }
    }
    return entered;
  }
}
