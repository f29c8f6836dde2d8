from lstmcourse.cli import main

raise SystemExit(main())
